import { expect, test } from 'bun:test';
import { type Clock, systemClock } from '#base';
import type { KubeObject } from '../../api/meta.ts';
import { LiveObjects } from './live-objects.ts';
import { expired, type RestEvent, type RestKind, type RestWatchCall, refusal } from './rest.ts';
import { RestWatches, restWatchesMax } from './rest-watches.ts';

const call: RestWatchCall = {
  namespace: '',
  name: '',
  user: { name: 'ada', groups: [] },
  dryRun: false,
  resourceVersion: '',
  bookmarks: false,
};
const note = (name: string, namespace = 'default'): KubeObject => ({
  apiVersion: 'live.example.com/v1',
  kind: 'Note',
  metadata: { name, namespace },
});
const kindOf = (watch: RestKind['watch']): RestKind => ({
  group: 'live.example.com',
  version: 'v1',
  kind: 'Note',
  watch,
});
const named = (events: readonly RestEvent[]) => events.map(({ type, object }) => `${type} ${object.metadata.name}`);
/** Naps never end by themselves; `pass` ends those that are over. */
function handClock(): Clock & { pass(ms: number): void } {
  let nowMs = 0;
  const naps = new Set<{ atMs: number; wake: () => void }>();
  return {
    ...systemClock,
    now: () => nowMs,
    monotonicMs: () => nowMs,
    sleep: (ms, signal) =>
      new Promise((wake) => {
        const nap = { atMs: nowMs + ms, wake };
        naps.add(nap);
        signal?.addEventListener('abort', () => wake(), { once: true });
      }),
    pass(ms) {
      nowMs += ms;
      for (const nap of naps) if (nap.atMs <= nowMs && naps.delete(nap)) nap.wake();
    },
  };
}

test('objects in memory: what is there, then each change; from a version on; 410 before the history and after it', async () => {
  const notes = new LiveObjects({ now: () => 1, historyMax: 3 });
  const { resourceVersion } = notes.put(note('a')).metadata;
  using watches = new RestWatches(systemClock);
  const kind = kindOf(notes.reads.watch);
  watches.open('all', kind, call);
  expect(named((await watches.next('all')).events)).toEqual(['ADDED a']);
  watches.open('since', kind, { ...call, resourceVersion: resourceVersion! });
  watches.open('other', kind, { ...call, namespace: 'other' });
  notes.put(note('a'));
  notes.put(note('b', 'other'));
  notes.remove(note('a').metadata);
  const seen: string[] = [];
  while (seen.length < 3) seen.push(...named((await watches.next('since')).events));
  expect(seen).toEqual(['MODIFIED a', 'ADDED b', 'DELETED a']);
  expect(named((await watches.next('other')).events)).toEqual(['ADDED b']);
  notes.put(note('c'));
  for (const [id, version] of [
    ['old', resourceVersion!],
    ['future', String(Number(resourceVersion) + 100)],
    ['wrong', 'x'],
  ] as const) {
    watches.open(id, kind, { ...call, resourceVersion: version });
    expect((await watches.next(id)).refused).toEqual({
      code: 410,
      reason: 'Expired',
      message: 'too old resource version',
    });
  }
  expect(watches.size).toBe(3);
});

test('writes in memory: a version is held against, dry runs change nothing', () => {
  const { writes, reads, ...notes } = new LiveObjects({ now: () => 1 });
  void notes;
  const made = writes.create(call, note('a')) as KubeObject;
  const at = { ...call, namespace: 'default', name: 'a' };
  expect(() => writes.create(call, note('a'))).toThrow('already exists');
  writes.update({ ...at, dryRun: true }, { ...made, spec: 1 } as never);
  expect(reads.get(at)).toEqual(made);
  const next = writes.update(at, made) as KubeObject;
  expect(next.metadata.resourceVersion).not.toBe(made.metadata.resourceVersion);
  expect([made, next].map(({ metadata }) => metadata.creationTimestamp)).toEqual(Array(2).fill('1970-01-01T00:00:00Z'));
  expect(() => writes.update(at, made)).toThrow('modified');
  writes.delete({ ...at, dryRun: true });
  writes.delete(at);
  expect(() => writes.delete(at)).toThrow('not found');
});

test('a plugin is asked for no more than its reader takes, and a watch that nobody reads ends', async () => {
  const clock = handClock();
  using watches = new RestWatches(clock);
  let given = 0;
  let left: string | undefined;
  const endless: RestKind['watch'] = async function* ({ signal }) {
    try {
      for (;;) {
        given++;
        yield { type: 'ADDED', object: note(`n${given}`) };
      }
    } finally {
      left = signal.aborted ? 'ended' : 'left';
    }
  };
  watches.open('one', kindOf(endless), call);
  await new Promise((done) => setImmediate(done));
  expect(given).toBe(1_024);
  expect((await watches.next('one')).events.length).toBe(256);
  await new Promise((done) => setImmediate(done));
  expect(given).toBe(1_024 + 256);
  clock.pass(31_000);
  await new Promise((done) => setImmediate(done));
  expect([left, watches.size]).toEqual(['ended', 0]);
  expect((await watches.next('one')).refused?.code).toBe(410);
});

test('an ask without events is answered after a while; refusals, failures and ends are said; too many are refused', async () => {
  const clock = handClock();
  using watches = new RestWatches(clock);
  const silent: RestKind['watch'] = async function* ({ signal }) {
    await new Promise<void>((over) => signal.addEventListener('abort', () => over(), { once: true }));
    yield* [];
  };
  watches.open('silent', kindOf(silent), call);
  const asked = watches.next('silent');
  await new Promise((done) => setImmediate(done));
  clock.pass(10_000);
  expect(await asked).toEqual({ events: [] });
  const waiting = watches.next('silent');
  watches.close('silent');
  expect(await waiting).toEqual({ events: [], over: true });
  const throwing = (error: Error): RestKind['watch'] =>
    async function* () {
      yield { type: 'ADDED', object: note('a') };
      throw error;
    };
  watches.open('refused', kindOf(throwing(refusal(403, 'Forbidden', 'not you'))), call);
  watches.open('failed', kindOf(throwing(new Error('broken'))), call);
  watches.open('expired', kindOf(throwing(expired())), call);
  const codes: unknown[] = [];
  for (const id of ['refused', 'failed', 'expired']) {
    let batch = await watches.next(id);
    if (!batch.over) batch = await watches.next(id);
    codes.push(batch.refused?.code);
  }
  expect(codes).toEqual([403, 500, 410]);
  for (let index = 0; index < restWatchesMax; index++) watches.open(`s${index}`, kindOf(silent), call);
  expect(() => watches.open('more', kindOf(silent), call)).toThrow('more than 128 watches');
});
