import { createHash } from 'node:crypto';
import { type Clock, type Log, messageOf } from '#base';
import type { UserInfo } from '#sdk';
import type { KnownHooks } from './admission.ts';
import type { AskPlugin } from './door.ts';
import { splitHookName } from './points.ts';

/** Revocation must be seen within a second; so long an answer, also a no, holds. */
const keptMs = 1_000;
const keptMax = 1_000;
const nameMax = 256;
const groupsMax = 100;

/** Who has a token that nobody else knows: the first plugin that says so. Nobody becomes part of the system that way. */
export function pluginAuthenticators(
  known: KnownHooks,
  ask: AskPlugin,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): (token: string) => Promise<UserInfo | undefined> {
  const kept = new Map<string, { readonly user: Promise<UserInfo | undefined>; readonly untilMs: number }>();
  const find = async (token: string): Promise<UserInfo | undefined> => {
    for (const { plugin, hook } of known.ofPoint('authenticate')) {
      try {
        const asked = { authenticator: splitHookName(hook).target, token };
        const user = userOf(await ask(plugin, hook, 'authenticate', asked));
        if (user) return markedAs(user, plugin);
      } catch (error) {
        log.warn('an authenticator of a plugin was not heard', { plugin, error: messageOf(error) });
      }
    }
    return undefined;
  };
  return (token) => {
    if (known.ofPoint('authenticate').length === 0) return Promise.resolve(undefined);
    const nowMs = clock.monotonicMs();
    const key = createHash('sha256').update(token).digest('base64'); // tokens are not kept
    const last = kept.get(key);
    if (last && nowMs < last.untilMs) return last.user;
    if (kept.size >= keptMax) kept.clear();
    const user = find(token);
    kept.set(key, { user, untilMs: nowMs + keptMs });
    return user;
  };
}

/** Said with every user that a plugin knows: without that plugin he may be refused. Nobody else can claim it. */
const authenticatorKey = 'plugins.pintle.dev/authenticator';
const markedAs = (user: UserInfo, plugin: string): UserInfo => ({ ...user, extra: { [authenticatorKey]: [plugin] } });
export const isOfPlugin = ({ extra }: UserInfo, plugin: string): boolean =>
  extra?.[authenticatorKey]?.includes(plugin) ?? false;

/** Throws on what is nobody's to claim. Pure. */
export function userOf(answer: unknown): UserInfo | undefined {
  if (answer === null || answer === undefined) return undefined;
  const { name, uid, groups = [] } = answer as { name?: unknown; uid?: unknown; groups?: unknown };
  const isText = (value: unknown): value is string =>
    typeof value === 'string' && value !== '' && value.length <= nameMax;
  if (!isText(name) || !Array.isArray(groups) || groups.length > groupsMax || !groups.every(isText))
    throw new Error('it answered with what is no user');
  const claimed = [name, ...groups].find((one) => one.startsWith('system:'));
  if (claimed !== undefined) throw new Error(`it claims ${claimed}, which only the platform gives`);
  return { name, ...(isText(uid) ? { uid } : {}), groups: [...groups, 'system:authenticated'] };
}
