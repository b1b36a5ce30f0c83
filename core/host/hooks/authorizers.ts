import { type Clock, type Log, messageOf } from '#base';
import type { AccessRequest, UserInfo } from '#sdk';
import { accountNamespace } from '../rbac.ts';
import type { KnownHook, KnownHooks } from './admission.ts';
import { isOfPlugin } from './authenticators.ts';
import type { AskPlugin } from './door.ts';
import { splitHookName } from './points.ts';

/** As the API server's. */
interface Decision {
  readonly allowed: boolean;
  /** Somebody said no; without it nobody said yes. */
  readonly denied?: boolean;
  readonly reason?: string;
}
type Attributes = Omit<AccessRequest, 'user'> & { readonly path: string; readonly isResource: boolean };
interface Inner {
  authorize(user: UserInfo, attributes: Attributes): Decision;
}
/** Revocation must be seen within a second; so long an answer holds. */
const keptMs = 1_000;
const keptMax = 4_096;
const reasonMax = 512;

/**
 * What roles allow, plugins may still refuse: they are asked about what would be allowed, and any denial wins. Without an
 * answer only those are refused whose tokens are the plugin's own.
 */
export function withPluginAuthorizers<A extends Inner>(
  inner: A,
  known: KnownHooks,
  ask: AskPlugin,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): Omit<A, 'authorize'> & {
  authorize(user: UserInfo, attributes: Attributes): Decision | Promise<Decision>;
  authorizeNow(user: UserInfo, attributes: Attributes): Decision;
} {
  const kept = new Map<string, { readonly denial: Promise<string | undefined>; readonly untilMs: number }>();
  const denialOf = async (hooks: readonly KnownHook[], request: AccessRequest): Promise<string | undefined> => {
    const said = await Promise.all(hooks.map((hook) => denialBy(hook, request, ask, log)));
    return said.find((one) => one !== undefined);
  };
  const denied = (hooks: readonly KnownHook[], request: AccessRequest): Promise<string | undefined> => {
    const nowMs = clock.monotonicMs();
    const key = JSON.stringify([request, hooks.map(({ plugin, hook }) => [plugin, hook])]);
    const last = kept.get(key);
    if (last && nowMs < last.untilMs) return last.denial;
    if (kept.size >= keptMax) kept.clear();
    const denial = denialOf(hooks, request);
    kept.set(key, { denial, untilMs: nowMs + keptMs });
    return denial;
  };
  return {
    ...inner,
    authorizeNow: (user, attributes) => inner.authorize(user, attributes),
    authorize(user, attributes) {
      const decision = inner.authorize(user, attributes);
      if (!decision.allowed || !attributes.isResource || isExempt(user)) return decision;
      const hooks = known.ofPoint('authorize');
      if (hooks.length === 0) return decision;
      const { path: _path, isResource: _isResource, ...asked } = attributes;
      return denied(hooks, { user, ...asked }).then((reason) =>
        reason === undefined ? decision : { allowed: false, denied: true, reason },
      );
    },
  };
}

/** Who is never asked about: administrators, the platform's own parts, and plugins, so that two of them cannot wait for each other. Pure. */
export function isExempt({ name, groups }: UserInfo): boolean {
  if (groups.includes('system:masters')) return true;
  const account = 'system:serviceaccount:';
  if (name.startsWith(account))
    return name.startsWith(`${account}kube-system:`) || name.startsWith(`${account}${accountNamespace}:`);
  return name.startsWith('system:') && name !== 'system:anonymous';
}

/** Its reason, in words that say who gave it; undefined: it has none. */
async function denialBy(
  { plugin, hook }: KnownHook,
  request: AccessRequest,
  ask: AskPlugin,
  log: Log,
): Promise<string | undefined> {
  const who = `plugin ${JSON.stringify(plugin)}`;
  try {
    const answer: unknown = await ask(plugin, hook, 'authorize', { authorizer: splitHookName(hook).target, request });
    if (answer === null || answer === undefined) return undefined;
    if (typeof answer !== 'string') throw new Error('it answered with what is no reason');
    return `${who}: ${answer.slice(0, reasonMax) || 'denied'}`;
  } catch (error) {
    log.warn('an authorizer of a plugin was not heard', { plugin, error: messageOf(error) });
    return isOfPlugin(request.user, plugin) ? `${who} gave no answer` : undefined;
  }
}
