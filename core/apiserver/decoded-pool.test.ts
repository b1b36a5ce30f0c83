import { expect, test } from 'bun:test';
import { type Decoded, DecodedPool } from './decoded-pool.ts';

const make = (name: string, gone: string[], used = () => false): Decoded => ({
  decodedBytes: 10,
  takeUsed: used,
  forget: () => gone.push(name),
});

test('the oldest go first, and only beyond the bound', () => {
  const gone: string[] = [];
  const pool = new DecodedPool(50);
  for (const name of ['a', 'b', 'c', 'd', 'e']) pool.add(make(name, gone));
  expect(gone).toEqual([]);
  for (const name of ['f', 'g']) pool.add(make(name, gone));
  expect(gone).toEqual(['a', 'b']);
});

test('what was read meanwhile stays for another round', () => {
  const gone: string[] = [];
  const pool = new DecodedPool(30);
  let reads = 1;
  pool.add(make('read', gone, () => reads-- > 0));
  for (const name of ['b', 'c', 'd']) pool.add(make(name, gone));
  expect(gone).toEqual(['b']);
  for (const name of ['e', 'f']) pool.add(make(name, gone));
  expect(gone).toEqual(['b', 'c', 'd']);
  pool.add(make('g', gone));
  expect(gone).toEqual(['b', 'c', 'd', 'read']);
});

test('one that is larger than the bound is kept while it is the newest', () => {
  const gone: string[] = [];
  const pool = new DecodedPool(5);
  pool.add(make('a', gone));
  expect(gone).toEqual([]);
  pool.add(make('b', gone));
  expect(gone).toEqual(['a']);
});
