import { errors } from '#api';
import type { Call } from '../core.ts';
import { get } from '../verbs/get.ts';
import { patch } from '../verbs/patch.ts';
import { update } from '../verbs/update.ts';
import { bind } from './binding.ts';
import { evict } from './eviction.ts';
import { scale } from './scale.ts';
import { issueToken } from './token.ts';

type Handler = (call: Call) => Promise<Response>;

/** Subresources that are the object itself, seen through a strategy that guards which part changes. */
const parts = new Set(['status', 'finalize', 'ephemeralcontainers', 'resize', 'approval']);
const partVerbs: Readonly<Record<string, Handler>> = { get, update, patch };

/** Those that speak another kind. */
const special: Readonly<Record<string, Readonly<Record<string, Handler>>>> = {
  'pods/binding': { create: bind },
  'pods/eviction': { create: evict },
  'serviceaccounts/token': { create: issueToken },
};

/** Throws 404 for a subresource that this kind has not, 405 for a verb that it does not take. */
export function subresourceHandler(call: Call): Handler {
  const { kind, strategy } = call.served;
  const { subresource, verb } = call.info;
  const table =
    special[`${kind.plural}/${subresource}`] ??
    (subresource === 'scale' && call.served.scale ? { get: scale, update: scale, patch: scale } : undefined) ??
    (parts.has(subresource) && strategy.subresources.includes(subresource) ? partVerbs : undefined);
  if (!table) throw errors.noSuchPath();
  const handler = table[verb];
  if (!handler) {
    throw errors.methodNotAllowed('the server does not allow this method on the requested resource');
  }
  return handler;
}
