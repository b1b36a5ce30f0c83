import { expect, test } from 'bun:test';
import { Lane } from './lane.ts';

test('one user takes most of a lane, and the rest stays for others', () => {
  const lane = new Lane(80);
  const noisy = Array.from({ length: 100 }, () => lane.enter('noisy'));
  expect(noisy.filter(Boolean)).toHaveLength(60);
  const quiet = Array.from({ length: 12 }, () => lane.enter('quiet'));
  expect(quiet.filter(Boolean)).toHaveLength(10);
  expect(lane.enter('third')).toBeDefined();
  for (let user = 0; user < 9; user++) expect(lane.enter(`user ${user}`)).toBeDefined();
  expect(lane.enter('one too many')).toBeUndefined();
  expect(lane.size).toBe(80);
});

test('places come back, and nothing is kept of who left', () => {
  const lane = new Lane(8);
  for (let round = 0; round < 100; round++) {
    const places = Array.from({ length: 8 }, (_, index) => lane.enter(`user ${round} ${index}`)!);
    for (const leave of places) leave();
  }
  expect(lane.size).toBe(0);
});
