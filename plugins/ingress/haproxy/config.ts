import { isIP } from 'node:net';
import type { Limits, Listener } from '../model.ts';
import { defaultBodyBytesMax, defaultTimeouts } from '../model.ts';
import { addressOf, type BackendClass, readClass } from './names.ts';
import { placeOf } from './slots.ts';
import type { Server } from './tables.ts';

/** What only a configuration can say: when it differs, the program is replaced by one that takes over its sockets. */
export interface Structure {
  /** With their real ports, and not empty. */
  readonly listeners: readonly Listener[];
  readonly limits: Limits;
  /** Class → places. */
  readonly sizes: ReadonlyMap<string, number>;
  readonly threads: number;
  /** Whom it becomes when it has its sockets; absent where we are no root. */
  readonly user?: { readonly uid: number; readonly gid: number };
}
/** Files beside the configuration, by names that the runtime socket uses as well. The program is run in their folder. */
export const names = {
  certificates: 'certificates.list',
  odd: 'odd.regex',
  script: 'look-up.lua',
  badGateway: '502.http',
  grpcUnavailable: 'grpc-unavailable.http',
  grpcTimeout: 'grpc-timeout.http',
  root: 'root', // empty; what it sees of the file system
} as const;
export const mapFile = (name: string): string => `${name}.map`;
const rewriteBytes = 1_024; // of a buffer, for headers that are added

/** Files of fixed text: name → text. */
export function fixedFiles(script: string): Map<string, string> {
  const grpc = (status: number, message: string): string =>
    `HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: ${status}\r\ngrpc-message: ${message}\r\ncontent-length: 0\r\n\r\n`;
  const text = '502 Bad Gateway\n';
  return new Map([
    [names.script, script],
    [names.odd, `${oddPattern()}\n`],
    [
      names.badGateway,
      `HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/plain\r\ncontent-length: ${text.length}\r\n\r\n${text}`,
    ],
    [names.grpcUnavailable, grpc(14, 'no endpoint can be reached')],
    [names.grpcTimeout, grpc(4, 'the endpoint did not answer in time')],
  ]);
}

/**
 * One look at the whole head of a request says whether anything in it needs more than a look: a forbidden character, a header of
 * one hop, a Host of another form. Ordinary requests do not match.
 */
function oddPattern(): string {
  const hop = 'connection|keep-alive|proxy-[a-z]+|upgrade|http2-settings|te|trailer|forwarded';
  const spoofed = 'x(?=[a-z-]*_)[_-](?:forwarded[_-](?:for|proto|host|port)|real[_-]ip)';
  const host = 'host: (?![A-Za-z0-9_-][A-Za-z0-9._-]{0,252}(?<!\\.)(?::(?:\\d{1,4}|[1-5]\\d{4}))?\\r)';
  return `(?m)[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f]|^(?:(?:${hop}|${spoofed}): |${host})`;
}

/** The configuration. `servers`: place → its servers now; everything else of them comes over the runtime socket. Pure. */
export function configOf(
  structure: Structure,
  socket: string,
  servers: ReadonlyMap<string, ReadonlyMap<string, Server>>,
): string {
  const { listeners } = structure;
  const frontends = (['http', 'https'] as const).flatMap((protocol) => {
    const own = listeners.filter((listener) => listener.protocol === protocol);
    return own.length > 0 ? frontendOf(protocol, own, structure) : [];
  });
  const backends = [...structure.sizes].flatMap(([className, size]) =>
    Array.from({ length: size }, (_, index) => {
      const place = placeOf(className, index);
      return backendOf(place, readClass(className), servers.get(place) ?? new Map());
    }).flat(),
  );
  return `${[...globalOf(structure, socket), ...defaultsOf(structure), ...frontends, ...backends].join('\n')}\n`;
}

function globalOf({ limits, threads, user }: Structure, socket: string): string[] {
  return [
    'global',
    `  stats socket unix@${socket} mode 600 level admin expose-fd listeners`,
    '  stats timeout 60s',
    `  nbthread ${threads}`,
    `  maxconn ${limits.connectionsMax}`,
    '  no strict-limits',
    '  noreuseport', // who else has the port is found out
    ...(user ? [`  chroot ${names.root}`, `  uid ${user.uid}`, `  gid ${user.gid}`] : []),
    `  lua-load-per-thread ${names.script}`,
    // A head has to fit into a buffer: what is larger is answered 400 before anything else looks at it.
    `  tune.bufsize ${limits.requestHeaderBytesMax + rewriteBytes}`,
    `  tune.maxrewrite ${rewriteBytes}`,
    `  tune.http.maxhdr ${Math.min(32_767, limits.requestHeadersMax + 1)}`,
    '  ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets',
  ];
}

function defaultsOf({ limits }: Structure): string[] {
  return [
    'defaults',
    '  mode http',
    `  timeout client ${limits.requestBodyIdleMs}`,
    `  timeout http-request ${limits.requestHeaderMs}`,
    `  timeout http-keep-alive ${limits.keepAliveMs}`,
    `  timeout server ${defaultTimeouts.responseMs}`,
    `  timeout tunnel ${defaultTimeouts.tunnelMs}`,
    `  timeout queue ${defaultTimeouts.connectMs}`,
    '  option idle-close-on-response', // a program that ends answers the request that is on its way
    '  option redispatch 1',
    '  balance roundrobin',
    `  errorfile 503 ${names.badGateway}`, // none could be connected to; that there is none is known before
    ...errors.map(([status, text]) => `  http-error status ${status} content-type text/plain string "${text}\\n"`),
  ];
}
const errors: readonly (readonly [number, string])[] = [
  [400, '400 Bad Request'],
  [408, '408 Request Timeout'],
  [413, '413 Content Too Large'],
  [500, '500 Internal Server Error'],
  [502, '502 Bad Gateway'],
  [504, '504 Gateway Timeout'],
];

function frontendOf(protocol: Listener['protocol'], listeners: readonly Listener[], { limits }: Structure): string[] {
  const isSecure = protocol === 'https';
  const tls = isSecure ? ` ssl crt-list ${names.certificates} alpn h2,http/1.1` : '';
  return [
    `frontend ${protocol}`,
    ...listeners.map((listener) => `  bind ${bindOf(listener)}${tls}`),
    ...rulesOf([
      ...trustedRules(limits),
      `lua.odd if { req.hdrs -m reg -f ${names.odd} }`,
      'lua.odd if !{ url -m beg / } !{ fc_http_major 2 }',
      'lua.odd if { fc_http_major 2 } !{ path -m beg / }',
      ...forwardedRules(protocol, limits),
      ...lookUpRules,
      ...(isSecure ? ['set-var(txn.r) var(txn.r),bytes(1),field(1,~) if { var(txn.r) -m beg + }'] : []),
      `lua.route ${protocol} if { var(txn.r) -m beg ~ + }`,
      `${tooLarge} !{ var(txn.l) -m found }`,
    ]),
    '  http-response del-header keep-alive',
    '  http-response lua.hop if { res.fhdr(connection) -m found }',
    ...(isSecure
      ? ['  http-after-response set-header Strict-Transport-Security %[var(txn.hsts)] if { var(txn.hsts) -m found }']
      : []),
    '  use_backend %[var(txn.r)]',
  ];
}
const rulesOf = (rules: readonly string[]): string[] => rules.map((rule) => `  http-request ${rule}`);

/**
 * tables.ts says what the keys are. The first rule finds what an ordinary request asks for, and with the third one is done; the
 * others are for all the rest.
 */
const notYet = '!{ var(txn.r) -m found }';
const host = 'req.hdr(host),host_only';
const found = `map_beg(${mapFile('routes')})`;
const tooLarge = `return status 413 content-type text/plain string "413 Content Too Large\\n" if { req.hdr_val(content-length) gt ${defaultBodyBytesMax} }`;
const lookUpRules = [
  `set-var(txn.r) base,concat(/\\#),${found}`,
  `${tooLarge} { var(txn.r) -m beg p h g }`,
  'allow if { var(txn.r) -m beg p h g }', // a place, by its first letter (names.ts)
  `return status 400 content-type text/plain string "400 Bad Request\\n" if ${notYet} !{ req.fhdr(host) -m found } !{ req.ver 1.0 }`,
  `set-var(txn.h) ${host},concat(\\#),${found} if ${notYet}`,
  `set-var(txn.h) ${host},field(2,.,0),concat(*\\#),${found} if ${notYet} !{ var(txn.h) -m found }`,
  `set-var(txn.h) str(-) if ${notYet} !{ var(txn.h) -m found }`,
  `set-var(txn.p) path if ${notYet}`,
  `set-var(txn.r) var(txn.h),concat(,txn.p,/\\#),${found} if ${notYet}`,
  `set-var(txn.r) str(-\\#),${found} if ${notYet}`,
];

function trustedRules({ trustedProxies }: Limits): string[] {
  return trustedProxies.length > 0 ? [`set-var(txn.trusted) bool(true) if { src ${trustedProxies.join(' ')} }`] : [];
}

/** What this end of the connection saw; of a trusted peer what it says, and the peer. */
function forwardedRules(protocol: Listener['protocol'], { trustedProxies }: Limits): string[] {
  const own: [string, string][] = [
    ['X-Forwarded-Proto', protocol],
    ['X-Forwarded-Host', '%[req.hdr(host)]'],
    ['X-Forwarded-Port', '%[dst_port]'],
  ];
  if (trustedProxies.length === 0)
    return [['X-Forwarded-For', '%[src]'], ...own, ['X-Real-IP', '%[src]']].map(
      ([name, value]) => `set-header ${name} ${value}`,
    );
  const trusted = '{ var(txn.trusted) -m found }';
  const chain = '{ req.fhdr(x-forwarded-for) -m found }';
  return [
    `set-header X-Real-IP %[src] if !${trusted} or !${chain}`,
    `set-header X-Real-IP %[req.hdr(x-forwarded-for,1)] if ${trusted} ${chain}`,
    `set-header X-Forwarded-For "%[req.fhdr(x-forwarded-for)], %[src]" if ${trusted} ${chain}`,
    `set-header X-Forwarded-For %[src] if !${trusted} or !${chain}`,
    ...own.map(
      ([name, value]) => `set-header ${name} ${value} if !${trusted} or !{ req.fhdr(${name.toLowerCase()}) -m found }`,
    ),
  ];
}

function backendOf(
  place: string,
  { protocol, connectMs, connectRetries, isTuned }: BackendClass,
  servers: ReadonlyMap<string, Server>,
): string[] {
  return [
    `backend ${place}`,
    `  timeout connect ${connectMs}`,
    `  retries ${connectRetries}`,
    ...(protocol === 'grpc'
      ? [502, 503]
          .map((status) => `  errorfile ${status} ${names.grpcUnavailable}`)
          .concat(`  errorfile 504 ${names.grpcTimeout}`)
      : []),
    ...(isTuned
      ? rulesOf([
          `set-timeout server be_name,map_str(${mapFile('timeouts')},${defaultTimeouts.responseMs}),mul(1)`,
          `set-timeout tunnel be_name,concat(=),map_str(${mapFile('timeouts')},${defaultTimeouts.tunnelMs}),mul(1)`,
        ])
      : []),
    ...[...servers].map(([name, server]) => `  server ${name} ${serverText(server)}`),
  ];
}
/** As the configuration and `add server` take it. */
export const serverText = ({ address, isHttp2 }: Server): string =>
  `${isIP(address.ip) === 6 ? 'ipv6@' : 'ipv4@'}${addressOf(address)}${isHttp2 ? ' proto h2' : ''}`;

function bindOf({ ip, port }: Listener): string {
  const text = `${isIP(ip) === 6 ? 'ipv6@' : 'ipv4@'}${ip}:${port}`;
  return ip === '::' ? `${text} v6only` : text;
}
