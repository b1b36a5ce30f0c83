import type { Action, Condition, Route } from '../model.ts';
import { isToken } from './names.ts';

/**
 * What a map says of a path, read by the rules of config.ts and by the Lua of script.ts:
 * - `PLACE`: forward to it, nothing else.
 * - `+PLACE~RECORD`: so over TLS; without TLS the record counts.
 * - `~RECORD`: the record counts.
 *
 * RECORD = ALTERNATIVE `|` …, the first whose conditions hold; ALTERNATIVE = CONDITIONS `;` ACTION `;` OPTIONS.
 * Every text of a user in it is percent-encoded (encodeURIComponent), which leaves none of the characters that separate.
 */
export interface RecordWorld {
  /** Of the backends that have endpoints. */
  place(backend: string): string | undefined;
  isGrpc(backend: string): boolean;
  readonly usualBodyBytesMax: number;
}
const encode = encodeURIComponent;
const recordBytesMax = 6_000; // with its key it has to fit into one payload of the runtime socket

/** Text of the map, or why there is none. */
export function recordOf(routes: readonly Route[], world: RecordWorld): { value: string } | { problem: string } {
  const problem = routes.map(problemOf).find((one) => one !== undefined);
  if (problem) return { problem };
  const plain = plainPlace(routes, world);
  if (plain !== undefined && routes[0]!.httpsRedirect === undefined) return { value: plain };
  const record = `~${routes.map((route) => alternativeOf(route, world)).join('|')}`;
  if (record.length > recordBytesMax)
    return { problem: `its conditions and targets take more than ${recordBytesMax} characters` };
  return { value: (plain === undefined ? '' : `+${plain}`) + record };
}

/** As the record of one route without a condition. */
export const fallbackRecord = (action: Action, world: RecordWorld): { value: string } | { problem: string } =>
  recordOf([{ id: 'fallback', action, requestBodyBytesMax: world.usualBodyBytesMax }], world);

/** The place, where over TLS nothing but forwarding is to be done. */
function plainPlace(routes: readonly Route[], world: RecordWorld): string | undefined {
  const [route, second] = routes;
  if (!route || second || route.conditions?.length || route.hsts || route.action.type !== 'forward') return undefined;
  if (route.requestBodyBytesMax !== world.usualBodyBytesMax || route.action.replacePrefix !== undefined)
    return undefined;
  const places = route.action.targets.map(({ backend }) => world.place(backend)).filter((one) => one !== undefined);
  return places.length === 1 ? places[0] : undefined;
}

function alternativeOf(route: Route, world: RecordWorld): string {
  const options: string[] = [`b=${route.requestBodyBytesMax}`];
  if (route.httpsRedirect) options.push(`s=${route.httpsRedirect}`);
  if (route.hsts) {
    const { maxAgeSeconds, includeSubdomains } = route.hsts;
    options.push(`t=${encode(`max-age=${maxAgeSeconds}${includeSubdomains ? '; includeSubDomains' : ''}`)}`);
  }
  if (route.action.type === 'forward' && route.action.replacePrefix !== undefined) {
    const { from, to } = route.action.replacePrefix;
    options.push(`p=${from === '/' ? 0 : from.length}`, `n=${encode(to === '/' ? '' : to)}`);
  }
  const conditions = (route.conditions ?? []).map(conditionText).join(',');
  return [conditions, actionText(route.action, world), options.join(',')].join(';');
}

function conditionText(condition: Condition): string {
  if (condition.type === 'method') return `m:${encode(condition.value)}`;
  const kind = condition.type === 'header' ? 'h' : 'c';
  return `${kind}:${encode(condition.name)}${condition.value === undefined ? '' : `:${encode(condition.value)}`}`;
}

function actionText(action: Action, world: RecordWorld): string {
  if (action.type === 'answer') return `a:${action.status}`;
  if (action.type === 'redirect') {
    const { status, scheme = '', host = '', port = '', path = '' } = action;
    return `r:${[status, scheme, host, port, path].map((part) => encode(part)).join(':')}`;
  }
  const targets = action.targets.flatMap(({ backend, weight }) => {
    const place = world.place(backend);
    return place === undefined ? [] : [`${place}:${weight}`];
  });
  if (targets.length > 0) return `f:${targets.join(',')}`;
  return action.targets.some(({ backend }) => world.isGrpc(backend)) ? 'g:14' : 'a:503';
}

/** A Location is written as it is: what could end its line or the word is not taken. */
const locationPattern = /^[\x21-\x7e]*$/;
const authorityPattern = /^[A-Za-z0-9._-]*$|^\[[0-9A-Fa-f:.]+\]$/;
function problemOf({ action, conditions = [], requestBodyBytesMax, httpsRedirect }: Route): string | undefined {
  for (const condition of conditions) {
    if (!isToken(condition.type === 'method' ? condition.value : condition.name))
      return `a condition on the ${condition.type} has no proper name`;
  }
  if (!Number.isSafeInteger(requestBodyBytesMax) || requestBodyBytesMax < 0)
    return 'its bound of the body is no number';
  if (httpsRedirect !== undefined && !isRedirect(httpsRedirect)) return 'its redirect has no proper status';
  if (action.type === 'redirect') {
    if (!isRedirect(action.status)) return 'its redirect has no proper status';
    if (!locationPattern.test(action.path ?? '') || !authorityPattern.test(action.host ?? ''))
      return 'its redirect has characters that no Location holds';
  }
  if (action.type === 'answer' && !(action.status >= 200 && action.status <= 599))
    return 'its answer has no proper status';
  if (action.type !== 'forward') return undefined;
  if (!locationPattern.test(action.replacePrefix?.to ?? '')) return 'its new prefix has characters that no path holds';
  return action.targets.every(({ weight }) => Number.isSafeInteger(weight) && weight >= 1)
    ? undefined
    : 'a weight is no number from 1';
}
const isRedirect = (status: number): boolean => [301, 302, 303, 307, 308].includes(status);
