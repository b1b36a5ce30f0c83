// F23: what one large object costs must not hold up everybody else.
import { expect, test } from 'bun:test';
import { Scope } from '#base';
import { largeWrites } from '../../test/fixtures/large-map.ts';

test('a ConfigMap of 20,000 keys: no stage of a write takes much longer than reading its text once', async () => {
  await using scope = new Scope();
  const write = await largeWrites(scope, 20_000);
  const rounds: Readonly<Record<string, number>>[] = [];
  for (let round = 0; round < 3; round++) {
    const { ms, last } = await write(`m${round}`);
    rounds.push(ms);
    const managers = last.metadata.managedFields!.map(({ manager }) => manager);
    expect(managers.toSorted()).toEqual(['other', 'third', 'unknown']);
  }
  const least = (what: string) => Math.min(...rounds.map((ms) => ms[what]!));
  for (const what of ['create', 'update', 'update-all', 'patch'])
    expect([what, least(what) / least('parse') < 3]).toEqual([what, true]);
}, 120_000);
