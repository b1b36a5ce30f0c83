import { expect, test } from 'bun:test';
import { ListBodies, sendingMax } from './list-bodies.ts';
import { piecesFromBytes } from './piece-stream.ts';

const text = (length: number) => ({ totalBytes: length, whole: () => Buffer.alloc(length, 'a') as Uint8Array });

test('a body is made once for a version, and compressed once', async () => {
  const bodies = new ListBodies();
  let made = 0;
  const list = {
    totalBytes: 300_000,
    whole: () => {
      made++;
      return text(300_000).whole();
    },
  };
  const first = bodies.get('pods', '1', list)!;
  expect(bodies.get('pods', '1', list)).toBe(first);
  expect(made).toBe(1);
  const gzip = await first.compressed();
  expect(await first.compressed()).toBe(gzip);
  expect(Bun.gunzipSync(gzip as Uint8Array<ArrayBuffer>).length).toBe(300_000);
  expect(bodies.get('pods', '2', list)).not.toBe(first);
  expect(bodies.keptBytes).toBe(300_000);
});

test('what is kept is bounded, and what is too large is not kept', () => {
  const bodies = new ListBodies(1000);
  for (let index = 0; index < 9; index++) bodies.get(`k${index}`, '1', text(400));
  expect(bodies.keptBytes).toBe(800);
  expect(bodies.get('huge', '1', text(5000))).toBeUndefined();
  expect(bodies.keptBytes).toBe(800);
});

test('a large body is made as a whole only when its version is asked for again', () => {
  const bodies = new ListBodies();
  const large = text(piecesFromBytes + 1);
  expect(bodies.get('pods', '1', large)).toBeUndefined();
  expect(bodies.get('pods', '2', large)).toBeUndefined();
  expect(bodies.keptBytes).toBe(0);
  const kept = bodies.get('pods', '2', large);
  expect(kept?.bytes.length).toBe(large.totalBytes);
  expect(bodies.get('pods', '2', large)).toBe(kept);
});

test('large answers on their way at once are bounded', () => {
  const bodies = new ListBodies();
  const ends = Array.from({ length: sendingMax }, () => bodies.send());
  expect(() => bodies.send()).toThrow('Too many large lists');
  ends[0]!();
  ends[0]!();
  expect(bodies.sending).toBe(sendingMax - 1);
  bodies.send();
});
