/** Reads the heads of HTTP/1 messages, strictly (RFC 9112): what two programs might read differently is refused. Pure. */

/** Names in lower case and values, one after the other: `['host', 'a.example', 'te', 'x']`. */
export type HeaderList = string[];

export interface RequestHead {
  readonly method: string;
  /** Origin form: path and query as sent. */
  readonly target: string;
  readonly isHttp10: boolean;
  readonly headers: HeaderList;
  /** Lower case, without its port; empty when an HTTP/1.0 client named none. */
  readonly host: string;
  /** As sent, for X-Forwarded-Host. */
  readonly authority: string;
  readonly framing: Framing;
  readonly keepAlive: boolean;
  readonly expectsContinue: boolean;
  /** The protocol that is asked for, such as `websocket`. */
  readonly upgrade?: string;
  /** Names that Connection says are for this hop alone. */
  readonly hopNames: readonly string[];
}
/** What follows the head. */
export type Framing =
  | { readonly type: 'none' | 'chunked' | 'close' }
  | { readonly type: 'length'; readonly bytes: number };

export interface ResponseHead {
  readonly status: number;
  readonly reason: string;
  readonly headers: HeaderList;
  readonly framing: Framing;
  readonly keepAlive: boolean;
  readonly hopNames: readonly string[];
}
/** Why a head is refused: the status that says so. */
export interface Refusal {
  readonly refused: number;
  readonly why: string;
}

const tokenPattern = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const targetPattern = /^[\x21\x22\x24-\x7e]+$/; // printable, no '#'
const authorityPattern = /^([A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]{2,45}\])(?::(\d{0,5}))?$/;
const absolutePattern = /^https?:\/\/([^/?]*)([/?].*)?$/i;
const lengthPattern = /^\d{1,15}$/;
const namesKeptMax = 1_000;
const methodBytesMax = 32;

export function parseRequest(head: string, headersMax: number): RequestHead | Refusal {
  if (hasBadCharacters(head)) return refuse(400, 'a control character');
  const lines = head.split('\r\n');
  const line = lines[0]!;
  const [first, last] = [line.indexOf(' '), line.lastIndexOf(' ')];
  const [method, target, version] = [line.slice(0, first), line.slice(first + 1, last), line.slice(last + 1)];
  if (first < 1 || last <= first || (version !== 'HTTP/1.1' && version !== 'HTTP/1.0')) {
    const isOther = /^\S+ \S+ HTTP\/\d\.\d$/.test(line);
    return isOther ? refuse(505, 'HTTP/1.0 and HTTP/1.1 are spoken here') : refuse(400, 'no request line');
  }
  if (method.length > methodBytesMax || !tokenPattern.test(method)) return refuse(400, 'no method');
  if (!targetPattern.test(target)) return refuse(400, 'no request target');
  if (lines.length - 1 > headersMax) return refuse(431, 'too many headers');
  const headers = parseHeaders(lines);
  if ('refused' in headers) return headers;
  const where = placeOf(method, target, headers.list, version === 'HTTP/1.0');
  if ('refused' in where) return where;
  return finish(method, version === 'HTTP/1.0', headers, where);
}

function finish(
  method: string,
  isHttp10: boolean,
  { list, special }: Headers,
  where: { target: string; authority: string; host: string },
): RequestHead | Refusal {
  const framing = framingOf(special, isHttp10);
  if ('refused' in framing) return framing;
  const connection = tokensOf(special.connection);
  const upgrade = special.upgrade;
  const isUpgrade = upgrade !== undefined && connection.includes('upgrade') && !isHttp10 && framing.type === 'none';
  if (special.expect !== undefined && special.expect.toLowerCase() !== '100-continue')
    return refuse(417, 'an expectation that nobody knows');
  return {
    method,
    ...where,
    isHttp10,
    headers: list,
    framing,
    keepAlive: isHttp10 ? connection.includes('keep-alive') : !connection.includes('close'),
    expectsContinue: special.expect !== undefined && !isHttp10 && framing.type !== 'none',
    hopNames: connection,
    // A list of protocols is for servers that choose; h2c would take the connection out of our sight.
    ...(isUpgrade && tokenPattern.test(upgrade) && upgrade.toLowerCase() !== 'h2c' ? { upgrade } : {}),
  };
}

export function parseResponse(head: string, request: { readonly method: string }): ResponseHead | Refusal {
  if (hasBadCharacters(head)) return refuse(502, 'a control character');
  const lines = head.split('\r\n');
  const found = statusLineOf(lines[0]!);
  if (!found) return refuse(502, 'no status line');
  const headers = parseHeaders(lines);
  if ('refused' in headers) return refuse(502, headers.why);
  const { special } = headers;
  const { isHttp10, status, reason } = found;
  const framing = framingOf(special, isHttp10);
  if ('refused' in framing) return refuse(502, framing.why);
  const isBare = request.method === 'HEAD' || status < 200 || status === 204 || status === 304;
  const isOpen = framing.type === 'none' && special.lengths.length === 0;
  const connection = tokensOf(special.connection);
  return {
    status,
    reason,
    headers: headers.list,
    framing: isBare ? { type: 'none' } : isOpen ? { type: 'close' } : framing,
    keepAlive: isHttp10 ? connection.includes('keep-alive') : !connection.includes('close'),
    hopNames: connection,
  };
}

/** In a head, lines and all: HTAB is the only control character, and CR and LF come in pairs alone. A loop: a pattern is slower. */
function hasBadCharacters(head: string): boolean {
  for (let at = 0; at < head.length; at++) {
    const code = head.charCodeAt(at);
    if (code >= 32 ? code !== 127 : code === 9) continue;
    if (code !== 13 || head.charCodeAt(at + 1) !== 10) return true;
    at++;
  }
  return false;
}

interface StatusLine {
  readonly isHttp10: boolean;
  readonly status: number;
  readonly reason: string;
}
/** As with names: a server says the same few lines. */
const statusLines = new Map<string, StatusLine>();
function statusLineOf(line: string): StatusLine | undefined {
  const kept = statusLines.get(line);
  if (kept) return kept;
  const found = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: (.*))?$/.exec(line);
  if (!found) return undefined;
  const read = { isHttp10: found[1] === '0', status: Number(found[2]), reason: found[3] ?? '' };
  if (statusLines.size >= namesKeptMax) statusLines.clear();
  statusLines.set(line, read);
  return read;
}

interface Special {
  lengths: string[];
  codings: string[];
  connection: string;
  upgrade?: string;
  expect?: string;
}
interface Headers {
  readonly list: HeaderList;
  readonly special: Special;
}
function parseHeaders(lines: readonly string[]): Headers | Refusal {
  const list: HeaderList = [];
  const special: Special = { lengths: [], codings: [], connection: '' };
  for (let index = 1; index < lines.length; index++) {
    const line = lines[index]!;
    const colon = line.indexOf(':');
    const name = colon < 1 ? undefined : nameOf(line.slice(0, colon));
    if (name === undefined) return refuse(400, 'a malformed header');
    const value = trimmed(line, colon + 1);
    list.push(name, value);
    if (name === 'content-length') special.lengths.push(value);
    else if (name === 'transfer-encoding') special.codings.push(value);
    else if (name === 'connection') special.connection += `,${value}`;
    else if (name === 'upgrade')
      special.upgrade = special.upgrade === undefined ? value : `${special.upgrade},${value}`;
    else if (name === 'expect') special.expect = value;
  }
  return { list, special };
}

/** Most names are the same few: checked and lowered once. */
const known = new Map<string, string>();
function nameOf(text: string): string | undefined {
  const kept = known.get(text);
  if (kept !== undefined) return kept;
  if (!tokenPattern.test(text)) return undefined;
  const name = text.toLowerCase();
  if (known.size >= namesKeptMax) known.clear();
  known.set(text, name);
  return name;
}

function trimmed(line: string, from: number): string {
  let [start, end] = [from, line.length];
  while (start < end && isBlank(line.charCodeAt(start))) start++;
  while (end > start && isBlank(line.charCodeAt(end - 1))) end--;
  return line.slice(start, end);
}
const isBlank = (code: number): boolean => code === 32 || code === 9;

const noTokens: readonly string[] = [];
const tokensOf = (value: string): readonly string[] =>
  value === ''
    ? noTokens
    : value
        .toLowerCase()
        .split(',')
        .map((one) => one.trim())
        .filter(Boolean);

/** One way to say how long a body is, or none. */
function framingOf({ lengths, codings }: Special, isHttp10: boolean): Framing | Refusal {
  if (codings.length > 0) {
    if (lengths.length > 0) return refuse(400, 'both Content-Length and Transfer-Encoding');
    if (isHttp10 || codings.length > 1 || codings[0]!.toLowerCase() !== 'chunked')
      return refuse(isHttp10 ? 400 : 501, 'a transfer coding other than chunked');
    return { type: 'chunked' };
  }
  if (lengths.length === 0) return { type: 'none' };
  if (lengths.length > 1 || !lengthPattern.test(lengths[0]!)) return refuse(400, 'no single Content-Length');
  const bytes = Number(lengths[0]);
  return bytes === 0 ? { type: 'none' } : { type: 'length', bytes };
}

function placeOf(
  method: string,
  target: string,
  list: HeaderList,
  isHttp10: boolean,
): { target: string; authority: string; host: string } | Refusal {
  let authority: string | undefined;
  for (let at = 0; at < list.length; at += 2)
    if (list[at] === 'host') {
      if (authority !== undefined) return refuse(400, 'two Hosts');
      authority = list[at + 1]!;
    }
  if (authority === undefined && !isHttp10) return refuse(400, 'no Host');
  authority ??= '';
  const named = hostOf(authority);
  if (named === undefined) return refuse(400, 'a malformed Host');
  if (target[0] === '/') return { target, authority, host: named };
  if (method === 'CONNECT') return refuse(405, 'this is no proxy to everywhere');
  const absolute = absolutePattern.exec(target); // its host counts, whatever Host says (RFC 9112, 3.2.2)
  const host = absolute ? hostOf(absolute[1]!) : undefined;
  if (!absolute || !host) return refuse(400, 'no request target');
  const rest = absolute[2] ?? '/';
  return { target: rest[0] === '?' ? `/${rest}` : rest, authority: absolute[1]!, host };
}

/** `A.Example.:80` → `a.example`; undefined for what is no host. */
export function hostOf(authority: string): string | undefined {
  const kept = hosts.get(authority);
  if (kept !== undefined) return kept;
  if (authority.length > authorityBytesMax) return undefined;
  const found = authorityPattern.exec(authority);
  if (!found || Number(found[2] || 0) > 65_535) return undefined;
  const lower = found[1]!.toLowerCase();
  const host = lower.endsWith('.') ? lower.slice(0, -1) : lower;
  if (hosts.size >= namesKeptMax) hosts.clear();
  hosts.set(authority, host);
  return host;
}
const hosts = new Map<string, string>();
const authorityBytesMax = 260;

const refuse = (refused: number, why: string): Refusal => ({ refused, why });
