import { expect, test } from 'bun:test';
import type { Condition } from '#api';
import { type Migration, planMigration, running, withCondition } from './plan-storage-migration.ts';
import { statusOf } from './storage-migration.ts';

const migration = (
  name: string,
  conditions: readonly string[],
  born = '2026-01-01T00:00:00Z',
  resource = 'foos',
): Migration =>
  ({
    metadata: { name, creationTimestamp: born },
    spec: { resource: { group: 'example.com', resource } },
    status: { conditions: conditions.map((type) => ({ type, status: 'True' }) as Condition) },
  }) as unknown as Migration;

test.each([
  ['the only one', migration('a', []), [], 'start'],
  ['it runs', migration('a', ['Running']), [], 'run'],
  ['it is over', migration('a', ['Running', 'Succeeded']), [], 'finish'],
  ['it is over and told so', migration('a', ['Failed']), [], 'none'],
  ['another one runs', migration('a', []), [migration('b', ['Running'], '2027-01-01T00:00:00Z')], 'wait'],
  ['an older one waits', migration('b', []), [migration('z', [], '2025-01-01T00:00:00Z')], 'wait'],
  ['of the same age the name decides', migration('b', []), [migration('a', [])], 'wait'],
  ['the older one is over', migration('b', []), [migration('a', ['Succeeded'])], 'start'],
  ['another resource runs', migration('a', []), [migration('b', ['Running'], undefined, 'bars')], 'start'],
] as const)('%s', (_what, one, others, step) => {
  expect(planMigration(one, [one, ...others])).toBe(step);
});

test('a condition takes the place of its former; its time moves with its status', () => {
  const one = withCondition(migration('a', []), running(2, 3), 'early');
  const two = withCondition(one, running(0, 3, 'busy'), 'late');
  expect(two.status?.conditions).toEqual([
    {
      type: 'Running',
      status: 'True',
      reason: 'MigrationRunning',
      message: 'The migration is running, 3 objects verified migrated; transient error: busy',
      lastTransitionTime: 'early',
    },
  ]);
});

test.each([
  ['running', 3, ['v1', 'v2']],
  ['succeeded', 3, ['v2']],
  ['succeeded', 4, ['v1', 'v2']], // it changed while the migration ran
  ['failed', 3, ['v1', 'v2']],
] as const)('stored versions when it is %s at generation %d', (state, generation, storedVersions) => {
  const definition = {
    metadata: { name: 'foos.example.com', generation },
    spec: {
      versions: [
        { name: 'v1', storage: false },
        { name: 'v2', storage: true },
      ],
    },
    status: {
      storedVersions: ['v1', 'v2'],
      conditions: [{ type: 'StorageMigrating', status: 'True', observedGeneration: 3 }],
    },
  };
  const status = statusOf(definition, 'm', state, 'now');
  expect(status.storedVersions).toEqual(storedVersions);
  expect(status.conditions).toMatchObject([{ type: 'StorageMigrating', observedGeneration: generation }]);
});
