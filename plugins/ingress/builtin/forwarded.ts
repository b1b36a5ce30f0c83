import type { Asked } from './exchange.ts';
import type { HeaderList } from './http1-head.ts';

/** Of one connection, not of the message (RFC 9110, 7.6.1), and what this end says itself. */
const hopHeaders = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'expect',
  'content-length',
  'host',
]);
const originHeaders = new Set([
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-real-ip',
  'forwarded',
]);
/** Never taken away on a client's word: they say where the message ends and where it came from. */
const isOrigin = (name: string): boolean =>
  originHeaders.has(name) || (name.startsWith('x_') && originHeaders.has(name.replaceAll('_', '-')));

/** The headers of a request as a backend gets them, without Host and what frames the body. */
export function requestHeaders(asked: Asked, isTrusted: boolean): HeaderList {
  const { headers, hopNames, peer, authority, isSecure, port } = asked;
  const list: HeaderList = [];
  let chain = '';
  let [proto, host, portText] = [isSecure ? 'https' : 'http', authority, String(port)];
  for (let at = 0; at < headers.length; at += 2) {
    const [name, value] = [headers[at]!, headers[at + 1]!];
    if (hopHeaders.has(name) || (hopNames.length > 0 && hopNames.includes(name))) continue;
    if ((name.charCodeAt(0) === 120 || name === 'forwarded') && isOrigin(name)) {
      if (!isTrusted) continue;
      if (name === 'x-forwarded-for') chain += chain ? `, ${value}` : value;
      else if (name === 'x-forwarded-proto') proto = value;
      else if (name === 'x-forwarded-host') host = value;
      else if (name === 'x-forwarded-port') portText = value;
      continue;
    }
    list.push(name, value);
  }
  list.push('x-forwarded-for', chain ? `${chain}, ${peer}` : peer, 'x-forwarded-proto', proto);
  if (host) list.push('x-forwarded-host', host);
  list.push('x-forwarded-port', portText, 'x-real-ip', chain ? chain.split(',', 1)[0]!.trim() : peer);
  return list;
}

/** The headers of an answer as the client gets them, without what frames the body. */
export function responseHeaders(headers: HeaderList, hopNames: readonly string[]): HeaderList {
  const list: HeaderList = [];
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at]!;
    const isOfHop = hopHeaders.has(name) && name !== 'proxy-authenticate';
    if (isOfHop || (hopNames.length > 0 && hopNames.includes(name))) continue;
    list.push(name, headers[at + 1]!);
  }
  return list;
}

export function headerOf(headers: HeaderList, name: string): string | undefined {
  for (let at = 0; at < headers.length; at += 2) if (headers[at] === name) return headers[at + 1];
  return undefined;
}

/** Of all Cookie headers. */
export function cookieOf(headers: HeaderList, name: string): string | undefined {
  for (let at = 0; at < headers.length; at += 2) {
    if (headers[at] !== 'cookie') continue;
    for (const pair of headers[at + 1]!.split(';')) {
      const equals = pair.indexOf('=');
      if (equals > 0 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim();
    }
  }
  return undefined;
}
