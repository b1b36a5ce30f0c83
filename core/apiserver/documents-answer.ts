import { errors } from '#api';
import { gzipLarge } from './answer.ts';
import type { Core } from './core.ts';
import { groupsOf } from './discovery.ts';
import { notAcceptable, parseAccept } from './negotiate.ts';
import type { Document } from './openapi/documents.ts';

const gzipFromBytes = 128 * 1024;
const yearSeconds = 365 * 24 * 3600;
const protobufTypes = [
  'application/com.github.proto-openapi.spec.v2@v1.0+protobuf',
  'application/com.github.proto-openapi.spec.v2.v1.0+protobuf',
];

/** /openapi/v2, /openapi/v3 and what lies below it. Throws 404 and 406. */
export async function answerOpenApi(core: Core, request: Request, rest: readonly string[]): Promise<Response> {
  const kinds = core.kinds.all();
  const [version, ...place] = rest;
  if (version === 'v2' && place.length === 0) return openApiV2(core, request);
  if (version !== 'v3') throw errors.noSuchPath();
  if (place.length === 0) return index(core);
  const [group = '', groupVersion = '', more] =
    place[0] === 'api' ? ['', place[1], place[2]] : [place[1], place[2], place[3]];
  const document =
    more === undefined && (place[0] === 'api' || place[0] === 'apis')
      ? await core.documents.v3(group, groupVersion, kinds)
      : undefined;
  if (!document) return new Response(null, { status: 404 });
  const url = new URL(request.url);
  const asked = url.searchParams.get('hash');
  if (asked !== null && asked !== document.hash) {
    const location = `${url.pathname}?hash=${document.hash}`;
    return new Response(null, {
      status: 301,
      headers: { location, etag: quoted(document), 'cache-control': 'no-cache, private' },
    });
  }
  const headers: Record<string, string> = { vary: 'Accept' };
  // A document under its own hash never changes.
  if (asked !== null) {
    headers['cache-control'] = 'public, immutable';
    headers['expires'] = new Date(core.clock.now() + yearSeconds * 1000).toUTCString().replace('GMT', 'UTC');
  }
  return documentAnswer(request, document, 'application/json', headers);
}

function index(core: Core): Response {
  const kinds = core.kinds.all();
  const entries = groupsOf(kinds).flatMap(({ name, versions }) =>
    versions.map((version) => {
      const path = name ? `apis/${name}/${version}` : `api/${version}`;
      return [path, { serverRelativeURL: `/openapi/v3/${path}?hash=${core.documents.hashOf(name, version, kinds)}` }];
    }),
  );
  const headers = { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-cache, private' };
  return new Response(JSON.stringify({ paths: Object.fromEntries(entries) }), { headers });
}

async function openApiV2(core: Core, request: Request): Promise<Response> {
  const accepted = parseAccept(request.headers.get('accept') || '*/*').map(({ type }) => type);
  const chosen = accepted.find((type) => type === 'application/json' || type === '*/*' || protobufTypes.includes(type));
  if (!chosen) throw notAcceptable(['application/json', ...protobufTypes]);
  const document = await core.documents.v2(core.kinds.all());
  const headers = { vary: 'Accept-Encoding, Accept' };
  if (!protobufTypes.includes(chosen)) return documentAnswer(request, document, 'application/json', headers);
  const message = await core.documents.v2Protobuf(document);
  return documentAnswer(request, message, protobufTypes[1]!, headers);
}

const quoted = ({ hash }: Document): string => `"${hash}"`;

/** With its ETag; 304 when the client has it already. */
async function documentAnswer(
  request: Request,
  document: Document,
  type: string,
  more: Readonly<Record<string, string>>,
): Promise<Response> {
  const headers = new Headers({ 'cache-control': 'no-cache, private', etag: quoted(document), ...more });
  if (matchesEtag(request, quoted(document))) return new Response(null, { status: 304, headers });
  headers.set('content-type', type);
  if (document.bytes.length > gzipFromBytes && /\bgzip\b/.test(request.headers.get('accept-encoding') ?? '')) {
    document.gzip ??= await gzipLarge(document.bytes);
    headers.set('content-encoding', 'gzip');
    if (!more['vary']?.includes('Accept-Encoding')) headers.append('vary', 'Accept-Encoding');
    return new Response(document.gzip as Uint8Array<ArrayBuffer>, { headers });
  }
  return new Response(document.bytes as Uint8Array<ArrayBuffer>, { headers });
}

export const matchesEtag = (request: Request, etag: string): boolean =>
  (request.headers.get('if-none-match') ?? '')
    .split(',')
    .map((one) => one.trim().replace(/^W\//, ''))
    .some((one) => one === etag || one === '*');
