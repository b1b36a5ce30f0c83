import { expect, test } from 'bun:test';
import { Turns } from './turns.ts';

const never = new AbortController().signal;

test('so many at once, the others in their order; a turn is given back once', async () => {
  const turns = new Turns(2);
  const order: string[] = [];
  const take = (name: string, signal = never) =>
    turns.take(signal).then((done) => {
      order.push(name);
      return done;
    });
  const [first, second] = [await take('a'), await take('b')];
  const waiting = [take('c'), take('d')];
  await Promise.resolve();
  expect(order).toEqual(['a', 'b']);
  first();
  first();
  const third = await waiting[0]!;
  await Promise.resolve();
  expect(order).toEqual(['a', 'b', 'c']);
  second();
  third();
  (await waiting[1]!)();
  expect(order).toEqual(['a', 'b', 'c', 'd']);
});

test('who leaves has no turn, and takes none from others', async () => {
  const turns = new Turns(1);
  const first = await turns.take(never);
  const stop = new AbortController();
  const left = turns.take(stop.signal);
  const waiting = turns.take(never);
  stop.abort();
  (await left)();
  first();
  (await waiting)();
  (await turns.take(never))();
  (await turns.take(AbortSignal.abort()))();
});
