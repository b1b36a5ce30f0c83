import { errors } from '#api';
import { messageOf } from '#base';

/** Straight to the checked address: no redirect is followed, no proxy of the environment used, bodies stay as they are encoded. */
export async function fetchDirect(
  url: string,
  init: {
    readonly method?: string;
    readonly headers: Headers | Readonly<Record<string, string>>;
    readonly body?: ReadableStream<Uint8Array> | null;
    readonly signal: AbortSignal;
    /** PEM of the only authority that is trusted. Absent: any certificate will do, as upstream takes those of pods and services. */
    readonly ca?: string;
    /** What its certificate must name. Default: the host of the address. */
    readonly serverName?: string;
    /** What is said when nobody answers: `node "a"`, `pod "b"`. */
    readonly who: string;
  },
): Promise<Response> {
  try {
    return await fetch(url, {
      method: init.method ?? 'GET',
      headers: init.headers,
      body: init.body ?? undefined,
      signal: init.signal,
      redirect: 'manual',
      decompress: false,
      proxy: false as unknown as string, // the only value that overrides HTTP_PROXY; the types do not know it
      tls: tlsOf(init),
    });
  } catch (error) {
    throw errors.unavailable(`error trying to reach ${init.who}: ${messageOf(error)}`);
  }
}

/** `serverName` is what Bun compares the certificate with; its types know the name of Node's option only. */
export const tlsOf = ({ ca, serverName }: { readonly ca?: string; readonly serverName?: string }): object =>
  ca === undefined ? { rejectUnauthorized: false } : { ca, ...(serverName && { serverName }) };
