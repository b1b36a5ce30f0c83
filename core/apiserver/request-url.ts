import { errors } from '#api';

/** What a request asks for, of its address. */
export interface RequestPlace {
  readonly pathname: string;
  /** Not to be changed: requests without a query share one. */
  readonly searchParams: URLSearchParams;
}

const hosts = new Set<string>();
function remember(host: string): void {
  if (!/^[\w.:[\]-]+$/.test(host)) throw errors.badRequest('malformed Host header');
  if (hosts.size >= originsMax) hosts.clear();
  if (host.length <= originCharactersMax) hosts.add(host);
}
/** Schemes and hosts that parsed before: a client sends the same one with every request. */
const origins = new Set<string>();
const originsMax = 100;
const originCharactersMax = 300;
/** Of these nothing is escaped, and without `/.` nothing is resolved: the text is its own parsed form. */
const plainPath = /^\/[\w\-.~/]*$/;
const plainQuery = /^[\w\-.~=&,:/%+!*()]*$/;
export const noQuery = new URLSearchParams();

/** Throws 400 for a Host that is no host: two of them, or text that would move the path. */
export function placeOf(request: Request): RequestPlace {
  const host = request.headers.get('host');
  if (host !== null && !hosts.has(host)) remember(host);
  const text = request.url;
  const start = text.indexOf('/', 8);
  const origin = start < 0 ? text : text.slice(0, start);
  const plain = origins.has(origin) ? readPlain(text, start) : undefined;
  if (plain) return plain;
  if (!URL.canParse(text)) throw errors.badRequest('the address of the request does not parse');
  if (origins.size >= originsMax) origins.clear();
  if (start > 0 && origin.length <= originCharactersMax) origins.add(origin);
  return new URL(text);
}

function readPlain(text: string, start: number): RequestPlace | undefined {
  const mark = text.indexOf('?', start);
  const pathname = mark < 0 ? text.slice(start) : text.slice(start, mark);
  if (!plainPath.test(pathname) || pathname.includes('/.')) return undefined;
  if (mark < 0) return { pathname, searchParams: noQuery };
  const query = text.slice(mark + 1);
  return plainQuery.test(query) ? { pathname, searchParams: new URLSearchParams(query) } : undefined;
}
