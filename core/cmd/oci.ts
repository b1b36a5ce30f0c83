import { PintleError } from '#base';
import { sha256Of } from '../host/bundle.ts';

const manifestTypes =
  'application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json';
const manifestBytesMax = 4 * 1024 * 1024;
const layerBytesMax = 64 * 1024 * 1024;
const requestMsMax = 60_000;

export interface OciReference {
  readonly host: string;
  readonly repository: string;
  /** A tag, or `sha256:…`. */
  readonly reference: string;
  /** Pinned by the digest of the manifest. */
  readonly digest: string | undefined;
}
const failed = (message: string, next = 'check the reference: oci:HOST/REPOSITORY:TAG'): PintleError =>
  new PintleError('PLUGIN_SOURCE', message, next);

/** `registry.example.com:5000/team/cron:1.2.0@sha256:…`. Throws PLUGIN_SOURCE. Pure. */
export function parseReference(text: string): OciReference {
  const match =
    /^([\w.-]+(?::\d+)?|\[[0-9a-fA-F:]+\](?::\d+)?)\/([a-z0-9]+(?:[._/-]+[a-z0-9]+)*)(?::([\w][\w.-]{0,127}))?(?:@(sha256:[0-9a-f]{64}))?$/.exec(
      text,
    );
  if (!match) throw failed(`${JSON.stringify(text)} is no reference to an artifact`);
  const [, host, repository, tag, digest] = match;
  return { host: host!, repository: repository!, reference: digest ?? tag ?? 'latest', digest };
}

/** The one layer of an artifact: a tar archive of a built plugin. Every digest on the way is checked. Throws PLUGIN_SOURCE and BUNDLE_MODIFIED. */
export async function fetchArtifact(text: string): Promise<Uint8Array> {
  const at = parseReference(text);
  const isLoopback = /^(localhost|127\.[\d.]+|\[::1\])(:\d+)?$/.test(at.host);
  const base = `${isLoopback ? 'http' : 'https'}://${at.host}/v2/${at.repository}`;
  const session: Session = { token: undefined };
  const bytes = await get(`${base}/manifests/${at.reference}`, manifestTypes, manifestBytesMax, session);
  if (at.digest && `sha256:${sha256Of(bytes)}` !== at.digest) throw changed('the manifest', at.digest);
  const { layers } = JSON.parse(new TextDecoder().decode(bytes)) as {
    layers?: { mediaType?: string; digest?: string; size?: number }[];
  };
  const [layer, ...more] = layers ?? [];
  if (
    !layer?.digest ||
    !/^sha256:[0-9a-f]{64}$/.test(layer.digest) ||
    more.length > 0 ||
    !/tar/.test(layer.mediaType ?? '')
  )
    throw failed(`${text} is no plugin: it is to have one layer, a tar archive of what plugin build makes`);
  const content = await get(`${base}/blobs/${layer.digest}`, '*/*', layerBytesMax, session);
  if (`sha256:${sha256Of(content)}` !== layer.digest) throw changed('its layer', layer.digest);
  return content;
}
const changed = (what: string, digest: string): PintleError =>
  new PintleError(
    'BUNDLE_MODIFIED',
    `${what} that the registry sent has not the digest ${digest}`,
    'do not install it; ask who runs the registry',
  );

interface Session {
  token: string | undefined;
}
async function get(url: string, accept: string, bytesMax: number, session: Session): Promise<Uint8Array> {
  for (let tries = 1; ; tries++) {
    const headers: Record<string, string> = { accept };
    if (session.token) headers['authorization'] = `Bearer ${session.token}`;
    const answer = await fetch(url, { headers, signal: AbortSignal.timeout(requestMsMax) }).catch((error: Error) => {
      throw failed(`the registry does not answer: ${error.message}`);
    });
    if (answer.status === 401 && tries === 1) {
      session.token = await anonymousToken(answer.headers.get('www-authenticate') ?? '');
      continue;
    }
    if (!answer.ok) throw failed(`the registry answers ${answer.status} to ${url}`);
    return limited(answer, bytesMax);
  }
}

/** What anybody gets: `Bearer realm="…",service="…",scope="…"`. */
async function anonymousToken(challenge: string): Promise<string> {
  const field = (name: string) => new RegExp(`${name}="([^"]*)"`).exec(challenge)?.[1];
  const realm = field('realm');
  if (!/^Bearer /i.test(challenge) || !realm || !URL.canParse(realm))
    throw failed('the registry wants a sign-in that is not built', 'fetch the artifact yourself and install the .tgz');
  const url = new URL(realm);
  for (const name of ['service', 'scope']) if (field(name)) url.searchParams.set(name, field(name)!);
  const answer = await fetch(url, { signal: AbortSignal.timeout(requestMsMax) });
  const { token, access_token } = (await answer.json().catch(() => ({}))) as { token?: string; access_token?: string };
  const found = token ?? access_token;
  if (!answer.ok || !found) throw failed('the registry gives no token to the public');
  return found;
}

async function limited(answer: Response, bytesMax: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let total = 0;
  for await (const part of answer.body as unknown as AsyncIterable<Uint8Array>) {
    total += part.length;
    if (total > bytesMax) throw failed(`the registry sends more than ${bytesMax} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts);
}
