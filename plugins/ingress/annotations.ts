import {
  type Backend,
  defaultBodyBytesMax,
  defaultTimeouts,
  type Redirect,
  type RedirectStatus,
  type Timeouts,
} from './model.ts';
import { annotationPrefix } from './places.ts';

/** What an Ingress says beyond its spec. */
export interface Wishes {
  readonly sslRedirect: boolean;
  readonly hsts: { readonly maxAgeSeconds: number; readonly includeSubdomains: boolean } | undefined;
  readonly redirect: Redirect | undefined;
  readonly timeouts: Timeouts;
  readonly connectRetries: number;
  readonly protocol: Backend['protocol'];
  readonly bodyBytesMax: number;
  readonly rewritePrefix: string | undefined;
  readonly canary: Canary | undefined;
}
export interface Canary {
  /** Of a hundred requests. */
  readonly weight: number;
  readonly header: { readonly name: string; readonly value: string } | undefined;
  readonly cookie: string | undefined;
}
export interface ReadWishes {
  readonly wishes: Wishes;
  /** What was left out, in words. The rest is in force. */
  readonly problems: readonly {
    readonly reason: 'InvalidAnnotation' | 'UnknownAnnotation';
    readonly message: string;
  }[];
}

const secondsMax = 86_400;
const retriesMax = 10;
const bodyBytesMaxMost = 2 ** 40;
const textMax = 2_048;
const headerName = /^[A-Za-z0-9-]{1,64}$/;
const headerValue = /^[\x21-\x7e]{1,128}$/;
const cookieName = /^[A-Za-z0-9_-]{1,64}$/;
const pathText = /^\/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*$/;
const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
const sizes: Readonly<Record<string, number>> = {
  '': 1,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  k: 1e3,
  M: 1e6,
  G: 1e9,
};
const protocols: Readonly<Record<string, Backend['protocol']>> = { HTTP: 'http1', H2C: 'h2c', GRPC: 'grpc' };
const redirectStatuses = [301, 302, 303, 307, 308];

/** How each is read: undefined is a mistake, and `wanted` says what would be right. */
interface Reader<T> {
  readonly wanted: string;
  read(text: string): T | undefined;
}
const flag: Reader<boolean> = {
  wanted: '"true" or "false"',
  read: (text) => (text === 'true' ? true : text === 'false' ? false : undefined),
};
const duration: Reader<number> = {
  wanted: `a time such as 500ms, 5s, 2m or 1h, from 1ms to ${secondsMax}s`,
  read(text) {
    const [, digits = '', unit = ''] = /^(\d{1,9})(ms|s|m|h)$/.exec(text) ?? [];
    const ms = Number(digits) * (units[unit] ?? Number.NaN);
    return ms >= 1 && ms <= secondsMax * 1_000 ? ms : undefined;
  },
};
const count = (most: number): Reader<number> => ({
  wanted: `a whole number from 0 to ${most}`,
  read: (text) => (/^\d{1,10}$/.test(text) && Number(text) <= most ? Number(text) : undefined),
});
const bytes: Reader<number> = {
  wanted: 'a number of bytes such as 1048576, 8Mi or 1G; 0 for no bound',
  read(text) {
    const [, digits, unit = ''] = /^(\d{1,13})(Ki|Mi|Gi|k|M|G)?$/.exec(text) ?? [];
    const size = digits === undefined ? Number.NaN : Number(digits) * sizes[unit]!;
    return size <= bodyBytesMaxMost ? size : undefined;
  },
};
const matching = (pattern: RegExp, wanted: string): Reader<string> => ({
  wanted,
  read: (text) => (text.length <= textMax && pattern.test(text) ? text : undefined),
});
const place: Reader<Omit<Redirect, 'status' | 'type'>> = {
  wanted: 'an address such as https://shop.example/there, or a path',
  read(text) {
    if (text.length > textMax || /[^\x21-\x7e]/.test(text)) return undefined;
    if (/^\/(?!\/)/.test(text)) return { path: text };
    const url = URL.canParse(text) ? new URL(text) : undefined;
    const scheme = url?.protocol === 'https:' ? 'https' : url?.protocol === 'http:' ? 'http' : undefined;
    if (!url || !scheme || url.username || url.password || url.hostname === '') return undefined;
    const hasPath = url.pathname !== '/' || url.search !== '' || text.endsWith('/');
    const port = url.port === '' ? {} : { port: Number(url.port) };
    return { scheme, host: url.hostname, ...port, ...(hasPath ? { path: url.pathname + url.search } : {}) };
  },
};
const readers = {
  'ssl-redirect': flag,
  'hsts-max-age': duration,
  'hsts-include-subdomains': flag,
  'redirect-to': place,
  'redirect-status': {
    wanted: redirectStatuses.join(', '),
    read: (text) => (redirectStatuses.includes(Number(text)) ? (Number(text) as RedirectStatus) : undefined),
  } satisfies Reader<RedirectStatus>,
  'connect-timeout': duration,
  'response-timeout': duration,
  'tunnel-timeout': duration,
  'connect-retries': count(retriesMax),
  'backend-protocol': {
    wanted: Object.keys(protocols).join(', '),
    read: (text) => (Object.hasOwn(protocols, text) ? protocols[text] : undefined),
  } satisfies Reader<Backend['protocol']>,
  'body-size-max': bytes,
  'rewrite-prefix': matching(pathText, 'a path that begins with a slash'),
  canary: flag,
  'canary-weight': count(100),
  'canary-header': matching(headerName, 'the name of a header'),
  'canary-header-value': matching(headerValue, 'the value of a header'),
  'canary-cookie': matching(cookieName, 'the name of a cookie'),
};
type Values = { [N in keyof typeof readers]?: NonNullable<ReturnType<(typeof readers)[N]['read']>> };
/** For the tables of the manual. */
export const annotationNames: readonly string[] = Object.keys(readers);

/** Nothing throws: a mistake leaves that one out, and is told. Pure. */
export function readWishes(annotations: Readonly<Record<string, string>> = {}): ReadWishes {
  const problems: { reason: 'InvalidAnnotation' | 'UnknownAnnotation'; message: string }[] = [];
  const values: Record<string, unknown> = {};
  for (const [key, text] of Object.entries(annotations)) {
    if (!key.startsWith(annotationPrefix)) continue;
    const name = key.slice(annotationPrefix.length);
    if (!Object.hasOwn(readers, name)) {
      problems.push({ reason: 'UnknownAnnotation', message: `${key} is no annotation that is known here` });
      continue;
    }
    const reader: Reader<unknown> = readers[name as keyof typeof readers];
    const value = reader.read(text.trim());
    if (value === undefined)
      problems.push({ reason: 'InvalidAnnotation', message: `${key}: wanted is ${reader.wanted}` });
    else values[name] = value;
  }
  return { wishes: wishesOf(values as Values), problems };
}

function wishesOf(values: Values): Wishes {
  const age = values['hsts-max-age'];
  const target = values['redirect-to'];
  const header = values['canary-header'];
  return {
    sslRedirect: values['ssl-redirect'] ?? true,
    hsts:
      age === undefined
        ? undefined
        : { maxAgeSeconds: Math.floor(age / 1_000), includeSubdomains: values['hsts-include-subdomains'] ?? false },
    redirect: target && { type: 'redirect', status: values['redirect-status'] ?? 302, ...target },
    timeouts: {
      connectMs: values['connect-timeout'] ?? defaultTimeouts.connectMs,
      responseMs: values['response-timeout'] ?? defaultTimeouts.responseMs,
      tunnelMs: values['tunnel-timeout'] ?? defaultTimeouts.tunnelMs,
    },
    connectRetries: values['connect-retries'] ?? 2,
    protocol: values['backend-protocol'] ?? 'http1',
    bodyBytesMax: values['body-size-max'] ?? defaultBodyBytesMax,
    rewritePrefix: values['rewrite-prefix'],
    canary: values.canary
      ? {
          weight: values['canary-weight'] ?? 0,
          header:
            header === undefined
              ? undefined
              : { name: header.toLowerCase(), value: values['canary-header-value'] ?? 'always' },
          cookie: values['canary-cookie'],
        }
      : undefined,
  };
}
