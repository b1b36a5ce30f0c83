import type { Clock, KindRegistry, KubeObject, Reader } from '#sdk';
import { type Families, pageOf } from './family.ts';
import { nodeFamilies } from './nodes.ts';
import { otherFamilies } from './others.ts';
import { podFamilies } from './pods.ts';
import { workloadFamilies } from './workloads.ts';

const tables = [nodeFamilies, podFamilies, ...workloadFamilies, ...otherFamilies] as readonly Families<never>[];
const type = 'text/plain; version=0.0.4; charset=utf-8';

/** What objects say of themselves, in the form of Prometheus; made while it is read, so that nobody waits behind it. */
export function statePage(reader: Pick<Reader, 'list'>, kinds: KindRegistry, clock: Clock): Response {
  const served = kinds.all().map(({ kind }) => kind);
  const pieces = pageOf(tables as readonly Families<KubeObject>[], served, reader);
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      await clock.soon();
      const { value, done } = pieces.next();
      if (done) controller.close();
      else controller.enqueue(encoder.encode(value));
    },
  });
  return new Response(body, { headers: { 'content-type': type } });
}
