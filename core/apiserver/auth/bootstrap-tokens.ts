import { timingSafeEqual } from 'node:crypto';
import type { Secret } from '#api';
import type { Clock } from '#base';
import type { UserInfo } from '#sdk';
import { authenticatedGroup } from './attributes.ts';
import { sha256 } from './token-file.ts';

const namespace = 'kube-system';
const secretType = 'bootstrap.kubernetes.io/token';
const everyGroup = 'system:bootstrappers';
const shape = /^([a-z0-9]{6})\.([a-z0-9]{16})$/;
const groupShape = /^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]$/;

/**
 * `ID.SECRET` of a Secret `bootstrap-token-ID` in kube-system: who joins the cluster. Undefined for every other token, and
 * for one that is gone, expired, being deleted, or not meant for this.
 */
export const createBootstrapTokens =
  (options: {
    readonly secret: (namespace: string, name: string) => Readonly<Secret> | undefined;
    readonly clock: Clock;
  }) =>
  (token: string): UserInfo | undefined => {
    const [, id = '', secret = ''] = shape.exec(token) ?? [];
    if (!id) return undefined;
    const found = options.secret(namespace, `bootstrap-token-${id}`);
    if (!found || found.type !== secretType || found.metadata?.deletionTimestamp) return undefined;
    const field = (name: string) => Buffer.from(found.data?.[name] ?? '', 'base64').toString();
    if (field('token-id') !== id || !isSame(field('token-secret'), secret)) return undefined;
    if (field('usage-bootstrap-authentication') !== 'true') return undefined;
    const expiration = field('expiration');
    // A time that cannot be read has passed.
    if (expiration && !(Date.parse(expiration) > options.clock.now())) return undefined;
    const groups = field('auth-extra-groups').split(',').filter(Boolean);
    if (groups.some((group) => !groupShape.test(group))) return undefined;
    return { name: `system:bootstrap:${id}`, groups: [everyGroup, ...groups, authenticatedGroup] };
  };

/** In a time that says nothing about where they differ. */
const isSame = (left: string, right: string): boolean =>
  timingSafeEqual(Buffer.from(sha256(left)), Buffer.from(sha256(right)));
