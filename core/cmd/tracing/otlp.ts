import { createHash } from 'node:crypto';
import { type Context, ROOT_CONTEXT, SpanKind, SpanStatusCode, type TraceFlags, trace } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, type SpanExporter, TracerProvider } from '@opentelemetry/sdk-trace';
import { type Log, type Step, stepParents, type Tracer } from '#base';
import { version } from '../../../package.json';

export interface OtlpOptions {
  /** Base of a collector's OTLP over HTTP, such as http://127.0.0.1:4318; `/v1/traces` is added. */
  readonly endpoint: string;
  /** Of the process: apiserver, controllers, node. */
  readonly service: string;
  readonly clusterId: string;
  readonly nodeName: string;
  readonly log: Log;
  /** From the first waiting step to its export. Default 2 s. */
  readonly delayMs?: number;
  /** Of one export. Default 5 s. */
  readonly timeoutMs?: number;
}
const queueMax = 2_048; // steps; beyond it they are dropped, so that a collector that is slow or away costs nobody
const batchMax = 512;
const timeoutMsDefault = 5_000;
const sampled = 1 satisfies TraceFlags;

/** Where steps of one process go. */
export interface OtlpTracing extends AsyncDisposable {
  /** `component`: who acts in that process, as kubelet. */
  of(component: string): Tracer;
}

/** Sends steps to a collector, from a bounded queue. A collector that cannot be reached is told of once, and again when it is back. */
export function openOtlp(options: OtlpOptions): OtlpTracing {
  const ids = { trace: '', span: '' };
  const { endpoint, timeoutMs = timeoutMsDefault } = options;
  const exporter = new OTLPTraceExporter({ url: urlOf(endpoint), timeoutMillis: timeoutMs });
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      'service.name': options.service,
      'service.namespace': 'pintle',
      'service.version': version,
      'k8s.cluster.uid': options.clusterId,
      'host.name': options.nodeName,
    }),
    idGenerator: { generateTraceId: () => ids.trace, generateSpanId: () => ids.span },
    spanProcessors: [
      new BatchSpanProcessor({
        exporter: telling(exporter, options),
        maxQueueSize: queueMax,
        maxExportBatchSize: batchMax,
        scheduledDelayMillis: options.delayMs ?? 2_000,
        exportTimeoutMillis: timeoutMs * 2,
      }),
    ],
  });
  return {
    of(component) {
      const tracer = provider.getTracer(component, version);
      return {
        step(step) {
          ids.trace = traceIdOf(step.uid);
          ids.span = stepIdOf(step);
          const caller = step.causedBy === undefined ? undefined : callerOf(step.causedBy);
          const span = tracer.startSpan(
            step.name,
            {
              kind: step.name === 'pod.create' ? SpanKind.SERVER : SpanKind.INTERNAL,
              startTime: step.fromMs,
              attributes: { 'k8s.pod.uid': step.uid, ...step.facts },
              links: caller ? [{ context: caller }] : [],
            },
            parentOf(step),
          );
          if (step.error !== undefined)
            span.setStatus({ code: SpanStatusCode.ERROR, message: step.error.slice(0, 1_024) });
          span.end(Math.max(step.untilMs, step.fromMs)); // clocks may go back
        },
      };
    },
    [Symbol.asyncDispose]: () => provider.shutdown().catch(() => {}),
  };
}

/** Throws for what is no address of a collector. */
export function urlOf(endpoint: string): string {
  const url = new URL(endpoint);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new Error('http:// or https:// is wanted');
  const path = url.pathname.replace(/\/+$/, '');
  url.pathname = path.endsWith('/v1/traces') ? path : `${path}/v1/traces`;
  return url.href;
}

/** The 128 bits of a pod's uid. */
export const traceIdOf = (uid: string): string => {
  const plain = uid.replaceAll('-', '').toLowerCase();
  return /^[0-9a-f]{32}$/.test(plain) ? plain : hash(uid, 32); // some tools make uids of their own
};
export const stepIdOf = ({ uid, name, of = '' }: Pick<Step, 'uid' | 'name' | 'of'>): string =>
  hash(`${uid} ${name} ${of}`, 16);
const hash = (text: string, digits: number): string => createHash('sha256').update(text).digest('hex').slice(0, digits);

function parentOf({ uid, name }: Step): Context {
  const parent = stepParents[name];
  if (parent === undefined) return ROOT_CONTEXT;
  const context = {
    traceId: traceIdOf(uid),
    spanId: stepIdOf({ uid, name: parent }),
    traceFlags: sampled,
    isRemote: true,
  };
  return trace.setSpanContext(ROOT_CONTEXT, context);
}

/** Of a W3C traceparent; undefined for anything else. */
function callerOf(text: string) {
  const [, traceId = '', spanId = '', flags = ''] =
    /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-|$)/.exec(text) ?? [];
  const isOne = /[1-9a-f]/.test(traceId) && /[1-9a-f]/.test(spanId);
  return isOne ? { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & 1, isRemote: true } : undefined;
}

/** To those who wait every export went well: what a collector does is none of their business. */
function telling(inner: SpanExporter, { log, endpoint }: Pick<OtlpOptions, 'log' | 'endpoint'>): SpanExporter {
  let isAway = false;
  const collector = new URL(endpoint).host; // without a password that may stand in it
  return {
    export(spans, done) {
      inner.export(spans, (result) => {
        const hasFailed = result.code !== 0;
        if (hasFailed && !isAway)
          log.warn('the collector of traces does not take them; they are dropped until it does', {
            collector,
            error: result.error?.message ?? 'no reason given',
          });
        if (!hasFailed && isAway) log.info('the collector of traces takes them again', { collector });
        isAway = hasFailed;
        done({ code: 0 });
      });
    },
    shutdown: () => inner.shutdown(),
    forceFlush: () => inner.forceFlush?.() ?? Promise.resolve(),
  };
}
