import { expect, test } from 'bun:test';
import { nextSeats } from './seats.ts';

const names = (count: number, from = 0) => Array.from({ length: count }, (_unused, index) => `b${from + index}`);

test.each<[string, string[], string[], string[]]>([
  ['one', [], ['a'], ['a']],
  ['each has one', [], ['a', 'b', 'c'], ['a', 'b', 'c']],
  ['nothing changed', ['a', 'b'], ['b', 'a'], ['a', 'b']],
  ['one more sits behind', ['a', 'b'], ['a', 'b', 'c'], ['a', 'b', 'c']],
  ['who goes is stood in for', ['a', 'b', 'c'], ['a', 'c'], ['a', 'a', 'c']],
  ['his clients stay there when another comes', ['a', 'a', 'c'], ['a', 'c', 'd'], ['a', 'a', 'c', 'd']],
  ['one goes, another comes', ['a', 'b'], ['a', 'c'], ['a', 'c']],
])('%s', (_name, former, backends, expected) => {
  expect(nextSeats(former, backends)).toEqual(expected);
});

test('after any number of replacements each backend has a seat, and seats are few', () => {
  let seats: readonly string[] = [];
  for (let step = 0; step < 200; step++) {
    const backends = names(3, step);
    const former = seats;
    seats = nextSeats(former, backends);
    for (const backend of backends) expect(seats).toContain(backend);
    expect(new Set(seats).size).toBe(3);
    expect(seats.length).toBeLessThanOrEqual(6);
    // None that was there lost all of its seats.
    for (const kept of former.filter((one) => backends.includes(one))) expect(seats).toContain(kept);
  }
});
test('shares are even enough, and no more than 1,024 have clients', () => {
  for (const count of [5, 7, 100, 300]) {
    const seats = nextSeats([], names(count));
    const shares = names(count).map((name) => seats.filter((one) => one === name).length);
    expect(Math.min(...shares)).toBeGreaterThanOrEqual(1);
    expect(Math.max(...shares)).toBeLessThanOrEqual(2);
  }
  expect(nextSeats([], names(2_000))).toHaveLength(1_024);
});
