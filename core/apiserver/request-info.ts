import { errors } from '#api';
import type { RequestInfo } from './contract.ts';
import { noQuery, type RequestPlace } from './request-url.ts';

/** Below a namespace these are subresources of the namespace itself, not resources in it. */
const namespaceSubresources = new Set(['status', 'finalize']);
const verbOfMethod: Record<string, string> = {
  GET: 'get',
  HEAD: 'get',
  POST: 'create',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
};

/**
 * Parses a URL once. `isResource` is false for every path that does not name a resource, and then `verb` is the HTTP method.
 * Throws 400 for segments that do not decode or that would decode to a path of their own.
 */
export function parseRequestInfo(method: string, place: RequestPlace): RequestInfo {
  if (place.searchParams !== noQuery) return parsed(method, place);
  const key = `${method} ${place.pathname}`;
  let info = seen.get(key);
  if (info) return info;
  info = Object.freeze(parsed(method, place)); // many requests share it
  if (seen.size >= seenMax) seen.clear();
  if (key.length <= seenCharactersMax) seen.set(key, info);
  return info;
}
/** Addresses without a query that parsed before: creations share one, and objects are written again. */
const seen = new Map<string, RequestInfo>();
const seenMax = 1_000;
const seenCharactersMax = 300;

function parsed(method: string, { pathname: path, searchParams: query }: RequestPlace): RequestInfo {
  const outside: RequestInfo = {
    verb: method.toLowerCase(),
    isResource: false,
    path,
    group: '',
    version: '',
    resource: '',
    subresource: '',
    namespace: '',
    name: '',
    rest: '',
    query,
  };
  const raw = path.slice(1).split('/');
  if (raw.at(-1) === '') raw.pop();
  const legacy = raw[0] === 'api';
  if ((!legacy && raw[0] !== 'apis') || raw.length < (legacy ? 3 : 4)) return outside;
  // What follows the subresource is another server's path: it is carried as it was sent, and never decoded here.
  const part = (at: number): string => (at < raw.length ? decodeSegment(raw[at]!) : '');
  const [group, version, start] = legacy ? ['', part(1), 2] : [part(1), part(2), 3];
  let index = start as number;
  let namespace = '';
  const watching = part(index) === 'watch' && (method === 'GET' || method === 'HEAD'); // the old way to ask for a watch
  if (watching) index++;
  if (part(index) === 'namespaces' && raw.length > index + 1) {
    namespace = part(index + 1);
    if (raw.length > index + 2 && !namespaceSubresources.has(part(index + 2))) index += 2;
  }
  const [resource, name, subresource] = [part(index), part(index + 1), part(index + 2)];
  const end = path.endsWith('/') ? '/' : '';
  const rest = raw.length > index + 3 ? `/${raw.slice(index + 3).join('/')}${end}` : subresource && end;
  const verb = watching ? 'watch' : resourceVerb(method, name, query);
  return {
    ...outside,
    verb,
    isResource: true,
    group: group as string,
    version: version as string,
    resource,
    subresource,
    namespace,
    name: name || selectedName(verb, query),
    rest,
  };
}

/** A collection narrowed to one name is authorised as that name, as upstream, so that rules with resourceNames reach it. */
function selectedName(verb: string, query: URLSearchParams): string {
  if (verb !== 'list' && verb !== 'watch' && verb !== 'deletecollection') return '';
  const name = /(?:^|,)metadata\.name==?([^,=!\\]+)(?:,|$)/.exec(query.get('fieldSelector') ?? '')?.[1] ?? '';
  return /^[^/%\0]+$/.test(name) && name !== '.' && name !== '..' ? name : '';
}

function resourceVerb(method: string, name: string, query: URLSearchParams): string {
  const verb = verbOfMethod[method] ?? method.toLowerCase();
  if (name) return verb; // of one object there is no watch but by field selector, as upstream
  if (verb === 'get' && isTrue(query.get('watch'))) return 'watch';
  return verb === 'get' ? 'list' : verb === 'delete' ? 'deletecollection' : verb;
}

/** As upstream reads booleans in queries: `watch`, `watch=1` and `watch=true`. */
export const isTrue = (text: string | null): boolean => text !== null && text !== 'false' && text !== '0';

function decodeSegment(segment: string): string {
  let text = segment;
  try {
    if (segment.includes('%')) text = decodeURIComponent(segment);
  } catch {
    throw errors.badRequest('the path holds an escape that does not decode');
  }
  if (text === '.' || text === '..' || text.includes('/') || text.includes('%') || text.includes('\0')) {
    throw errors.badRequest(`invalid path segment ${JSON.stringify(text)}`);
  }
  return text;
}
