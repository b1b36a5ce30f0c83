import type { AnyObject } from './contract.ts';
import { type Call, managerOf } from './core.ts';

/** The first step in a pod's trace: from its request to its commit. Nothing where nobody asked for traces. */
export function traceCreation(call: Call, { metadata }: Readonly<AnyObject>): void {
  const { tracer } = call.core.options;
  if (!tracer || call.served.kind.plural !== 'pods' || call.served.kind.group !== '') return;
  tracer.step({
    uid: metadata.uid!,
    name: 'pod.create',
    fromMs: call.nowMs,
    untilMs: call.core.clock.now(),
    facts: {
      'k8s.namespace.name': metadata.namespace ?? '',
      'k8s.pod.name': metadata.name ?? '',
      'k8s.pod.uid': metadata.uid!,
      'user_agent.original': managerOf(call),
    },
    // The caller's own trace is another one: one request of it may make many pods, and it may say anything.
    causedBy: call.request.headers.get('traceparent') ?? undefined,
  });
}
