import { expect, test } from 'bun:test';
import { treeText } from './plugin-tree.ts';

test('a plugin stands below what it waited for last', () => {
  const part = (name: string, requires: string[], beganMs: number, durationMs: number) =>
    ({ name, requires, beganMs, durationMs, state: 'active' }) as const;
  const parts = [
    part('crd', [], 0, 4),
    part('apps', ['crd'], 4, 2.25),
    part('top', ['crd', 'apps'], 6, 1),
    { ...part('dns', [], 0, 0), state: 'failed', error: 'no port' } as const,
  ];
  expect(
    treeText([
      { component: 'apiserver', parts },
      { component: 'node', parts: [] },
    ]),
  ).toBe(`apiserver
├─ crd 4.0 ms
│  └─ apps 2.3 ms
│     └─ top 1.0 ms
└─ dns failed: no port
node
└─ no plugins
`);
});
