import { errors } from '#api';
import { type Clock, messageOf, type Random } from '#base';
import type { CallWebhook, WebhookTarget } from '#sdk';
import type { Reader } from './contract.ts';
import { serviceOrigin } from './streaming/proxy-target.ts';

const answerBytesMax = 16 * 1024 * 1024;
const defaultPort = 443;

/** Asks webhooks, by URL or by service: the certificate is the service's, the connection goes to one of its ready endpoints. */
export function createWebhookCaller(parts: {
  readonly reader: Reader;
  readonly random: Random;
  readonly clock: Clock;
  /** Ranges of this cluster's own that would else be refused (loopback, without root). */
  readonly allowedRanges: readonly string[];
}): CallWebhook {
  return async (target, body, { timeoutMs, signal, query = '' }) => {
    const stop = new AbortController();
    const late = parts.clock.sleep(timeoutMs, stop.signal).then(() => stop.abort());
    signal?.addEventListener('abort', () => stop.abort(), { once: true });
    const shown = addressOf(target) + query;
    try {
      const { url, host } = place(target, parts);
      const response = await fetch(url + query, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'application/json', ...(host ? { host } : {}) },
        body: JSON.stringify(body),
        redirect: 'manual',
        signal: stop.signal,
        proxy: false as unknown as string, // the only value that overrides HTTP_PROXY; the types do not know it
        tls: {
          ...(target.caBundle ? { ca: Buffer.from(target.caBundle, 'base64').toString() } : {}),
          ...(host ? { serverName: host } : {}),
        } as object,
      });
      const bytes = await response.arrayBuffer();
      if (bytes.byteLength > answerBytesMax) throw new Error(`the answer is larger than ${answerBytesMax} bytes`);
      if (response.status !== 200) throw new Error(`the server answered ${response.status}`);
      return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as unknown;
    } catch (error) {
      const why = stop.signal.aborted ? 'context deadline exceeded' : reasonOf(error, target);
      throw errors.internal(`Post ${JSON.stringify(shown)}: ${why}`);
    } finally {
      stop.abort();
      await late;
    }
  };
}

/** In the words that people look for: who dialled whom. */
function reasonOf(error: unknown, { url }: WebhookTarget): string {
  if ((error as { code?: string }).code === 'ECONNREFUSED' && url !== undefined) {
    const { hostname, port } = new URL(url);
    return `dial tcp ${hostname}:${port || defaultPort}: connect: connection refused`;
  }
  return messageOf(error).replace(/^services "/, 'service "');
}

const pathOf = (path: string | undefined): string => (path ? (path.startsWith('/') ? path : `/${path}`) : '/');
const addressOf = ({ url, service }: WebhookTarget): string =>
  url ??
  `https://${service?.name ?? ''}.${service?.namespace ?? ''}.svc:${service?.port ?? defaultPort}${pathOf(service?.path)}`;

function place(
  { url, service }: WebhookTarget,
  { reader, random, allowedRanges }: Parameters<typeof createWebhookCaller>[0],
): { readonly url: string; readonly host?: string } {
  if (url !== undefined) return { url };
  if (!service) throw new Error('neither a URL nor a service is named');
  const { name, namespace, port = defaultPort } = service;
  const origin = serviceOrigin(reader, namespace, `https:${name}:${port}`, allowedRanges, random);
  return { url: origin + pathOf(service.path), host: `${name}.${namespace}.svc` };
}
