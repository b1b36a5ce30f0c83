import { PintleError, type Tracer } from '#base';
import type { RoleContext } from '../internal.ts';

/** Tracers of a process, by component; undefined where no collector is configured: then nothing of tracing is even loaded. */
export async function openTracing(
  { config, log, scope }: RoleContext,
  service: string,
): Promise<((component: string) => Tracer) | undefined> {
  const { otlpEndpoint: endpoint, clusterId, nodeName } = config;
  if (!endpoint) return undefined;
  const { openOtlp } = await import('./otlp.ts');
  const tracing = scope.use(openOtlp({ endpoint, service, clusterId, nodeName, log }));
  return (component) => tracing.of(component);
}

/** What --otlp-endpoint, or OTEL_EXPORTER_OTLP_ENDPOINT, says: an address, or `none`. Undefined: nothing, so that it stays as it is. */
export function otlpFlag(flag: string | undefined, environment: string | undefined): string | undefined {
  const text = flag ?? (environment || undefined);
  if (text === undefined || text === 'none') return text;
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return text;
  const name = flag === undefined ? 'OTEL_EXPORTER_OTLP_ENDPOINT' : '--otlp-endpoint';
  throw new PintleError(
    'BAD_FLAG',
    `${name} ${text} is no address of a collector`,
    'write it as http://127.0.0.1:4318, or none',
  );
}
