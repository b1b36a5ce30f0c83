import { expect, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compareVersions, type ResourceVersion } from '#api';
import { seededRandom, silentLog, systemClock } from '#base';
import { openSqliteStore } from '../core/store/sqlite.ts';

/** What the child has said, line by line: an acknowledged write, or a write it was about to send. */
interface Said {
  readonly acknowledged: Map<string, { readonly value: string | undefined; readonly version: string }>;
  /** Sent and not acknowledged when the child died: may or may not be there. */
  readonly open: Map<string, (string | undefined)[]>;
}
const rounds = 6;
const writers = 16;

test('whatever was acknowledged before a SIGKILL is there after it, and versions only rise', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pintle-torture-'));
  const path = join(folder, 'state.db');
  const random = seededRandom(7);
  const said: Said = { acknowledged: new Map(), open: new Map() };
  try {
    for (let round = 0; round < rounds; round++) {
      await writeUntilKilled(path, round, 100 + Math.floor(random.next() * 250), said);
      await verify(path, said);
    }
    expect(said.acknowledged.size).toBeGreaterThan(20);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

/** `acknowledgements`: how many to wait for before the child is killed, in the midst of the next batch. */
async function writeUntilKilled(path: string, round: number, acknowledgements: number, said: Said): Promise<void> {
  const child = Bun.spawn(
    [process.execPath, join(import.meta.dir, 'fixtures', 'store-writer.ts'), path, String(round), String(writers)],
    {
      stdout: 'pipe',
      stderr: 'inherit',
    },
  );
  let count = 0;
  let rest = '';
  const decoder = new TextDecoder();
  for await (const chunk of child.stdout) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop()!; // a line cut by the kill says nothing
    for (const line of lines) {
      const [what, key, value, version] = JSON.parse(line) as [string, string, string | null, string?];
      if (what === 'sent') said.open.set(key, [...(said.open.get(key) ?? []), value ?? undefined]);
      else {
        said.acknowledged.set(key, { value: value ?? undefined, version: version! });
        said.open.delete(key);
        count++;
      }
    }
    if (count >= acknowledgements) child.kill('SIGKILL');
  }
  await child.exited;
  expect(count).toBeGreaterThanOrEqual(acknowledgements);
}

async function verify(path: string, said: Said): Promise<void> {
  await using store = await openSqliteStore({ path, clock: systemClock, log: silentLog });
  const { entries, version } = await store.list('/');
  const found = new Map(entries.map((entry) => [entry.key, new TextDecoder().decode(entry.value)]));
  for (const [key, { value, version: written }] of said.acknowledged) {
    const allowed = [value, ...(said.open.get(key) ?? [])];
    expect([key, allowed.includes(found.get(key))]).toEqual([key, true]);
    expect(compareVersions(version, written as ResourceVersion)).toBeGreaterThanOrEqual(0);
  }
  for (const key of found.keys()) expect(said.acknowledged.has(key) || said.open.has(key)).toBe(true);
  // What is there now is the truth from here on.
  for (const key of said.open.keys()) said.acknowledged.set(key, { value: found.get(key), version });
  said.open.clear();
  await replay(store, found);
}

/** The log, replayed from the start, leads to the same state: no event was lost and none made up. */
async function replay(
  store: Awaited<ReturnType<typeof openSqliteStore>>,
  found: ReadonlyMap<string, string>,
): Promise<void> {
  const state = new Map<string, string>();
  const controller = new AbortController();
  const end = await store.create('/end', new Uint8Array());
  await store.delete('/end', end.version);
  let last = '0';
  for await (const event of store.watch('/', '0' as ResourceVersion, controller.signal)) {
    if (event.type === 'progress') continue;
    const version = event.type === 'put' ? event.entry.version : event.version;
    expect(compareVersions(version, last)).toBeGreaterThan(0);
    last = version;
    if (version === end.version) break;
    if (event.type === 'put') state.set(event.entry.key, new TextDecoder().decode(event.entry.value));
    else state.delete(event.previous.key);
  }
  controller.abort();
  expect(state).toEqual(new Map(found));
}
