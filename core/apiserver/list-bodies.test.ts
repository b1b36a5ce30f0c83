import { expect, test } from 'bun:test';
import { ListBodies } from './list-bodies.ts';

const text = (length: number): Uint8Array => Buffer.alloc(length, 'a');

test('a body is made once for a version, and compressed once', async () => {
  const bodies = new ListBodies();
  let made = 0;
  const make = () => {
    made++;
    return text(300_000);
  };
  const first = bodies.get('pods', '1', make);
  expect(bodies.get('pods', '1', make)).toBe(first);
  expect(made).toBe(1);
  const gzip = await first.compressed();
  expect(await first.compressed()).toBe(gzip);
  expect(Bun.gunzipSync(gzip as Uint8Array<ArrayBuffer>).length).toBe(300_000);
  expect(bodies.get('pods', '2', make)).not.toBe(first);
  expect(bodies.keptBytes).toBe(300_000);
});

test('what is kept is bounded, and what is too large is not kept', () => {
  const bodies = new ListBodies(1000);
  for (let index = 0; index < 9; index++) bodies.get(`k${index}`, '1', () => text(400));
  expect(bodies.keptBytes).toBe(800);
  bodies.get('huge', '1', () => text(5000));
  expect(bodies.keptBytes).toBe(800);
});
