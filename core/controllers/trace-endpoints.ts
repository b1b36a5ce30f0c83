import type { EndpointSlice } from '#api';
import type { Clock, Tracer } from '#base';

type Slice = Pick<EndpointSlice, 'endpoints'>;
const readyIn = (slices: readonly Slice[]): Set<string> =>
  new Set(
    slices.flatMap(({ endpoints = [] }) =>
      endpoints.flatMap(({ conditions, targetRef }) =>
        conditions?.ready !== false && targetRef?.uid ? [targetRef.uid] : [],
      ),
    ),
  );

/** The last step in the traces of pods that take traffic from now on. */
export function traceEndpoints(
  { tracer, clock }: { readonly tracer?: Tracer; readonly clock: Clock },
  service: { readonly name: string; readonly fromMs: number },
  before: readonly Slice[],
  written: readonly Slice[],
): void {
  if (!tracer || written.length === 0) return;
  const known = readyIn(before);
  const untilMs = clock.now();
  const { name, fromMs } = service;
  const facts = { 'k8s.service.name': name };
  for (const uid of readyIn(written))
    if (!known.has(uid)) tracer.step({ uid, name: 'endpoints.write', of: name, fromMs, untilMs, facts });
}
