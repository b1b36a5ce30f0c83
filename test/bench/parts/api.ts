import { nodeKind, type Pod, podKind } from '#api';
import type { Client } from '#client';
import { until } from './row.ts';

/** Resolves when the API answers. */
export const waitForApi = (client: Client): Promise<void> =>
  until('the API answers', () =>
    client.list(nodeKind).then(
      () => true,
      () => false,
    ),
  );

export interface PodWatch {
  /** Number of pods in this phase, by the watch; undefined: of all there are. */
  count(phase?: string): number;
  /** Resolves when the condition holds after an event. */
  until(what: string, holds: () => boolean, limitMs?: number): Promise<void>;
  stop(): void;
}

/** Follows the pods of a namespace from now on (those that were there are counted too). */
export async function watchPods(client: Client, namespace: string): Promise<PodWatch> {
  const { items, metadata } = await client.list(podKind, { namespace });
  const phases = new Map(items.map((pod) => [pod.metadata.name!, pod.status?.phase]));
  const end = new AbortController();
  let failure: unknown;
  let wake: () => void = () => {};
  void (async () => {
    const options = { namespace, resourceVersion: metadata?.resourceVersion };
    for await (const event of client.watch(podKind, options, end.signal)) {
      if (event.type === 'BOOKMARK') continue;
      const pod: Pod = event.object;
      if (event.type === 'DELETED') phases.delete(pod.metadata.name!);
      else phases.set(pod.metadata.name!, pod.status?.phase);
      wake();
    }
    throw new Error('the watch ended');
  })().catch((error: unknown) => {
    failure = error;
    wake();
  });
  return {
    count: (phase) =>
      phase === undefined ? phases.size : phases.values().reduce((sum, each) => sum + Number(each === phase), 0),
    async until(what, holds, limitMs = 120_000) {
      const endMs = performance.now() + limitMs;
      while (!holds()) {
        if (failure && !end.signal.aborted) throw failure;
        const left = endMs - performance.now();
        if (left <= 0) throw new Error(`not within ${limitMs / 1000} s: ${what}`);
        await Promise.race([new Promise<void>((resolve) => (wake = resolve)), Bun.sleep(left)]);
      }
    },
    stop: () => end.abort(),
  };
}
