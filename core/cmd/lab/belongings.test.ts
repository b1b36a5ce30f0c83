import { expect, test } from 'bun:test';
import { belongings, type ProcessFacts } from './belongings.ts';

const container = 'a'.repeat(64);
const process = (pid: number, parent: number, change: Partial<ProcessFacts> = {}): ProcessFacts => ({
  pid,
  parent,
  startTicks: String(pid),
  argv: ['x'],
  netns: 1,
  cgroups: '0::/',
  ...change,
});
const marks = { folder: '/lab/hosts/h1', netns: 77, containers: [container] };
const pids = (all: readonly ProcessFacts[], self = 9999) => belongings(all, [marks], self).map(({ pid }) => pid);

test('by namespace, by home, by container, and what these started', () => {
  const all = [
    process(1, 0),
    process(10, 1, { netns: 77 }),
    process(11, 1, { argv: ['bun', 'component', 'node', '--home', '/lab/hosts/h1'] }),
    process(12, 1, { argv: ['dockerd', '--data-root', '/lab/hosts/h1/engine/data'] }),
    process(13, 1, { cgroups: `4:memory:/docker/${container}` }),
    process(14, 11, { netns: 5 }), // a plugin's sandbox
    process(15, 14, { netns: 5 }),
    process(20, 1, { argv: ['component', '--home', '/lab/hosts/h10'] }),
    process(21, 1, { argv: ['component', '--home', '/lab'] }),
    process(23, 1, { argv: ['tail', '-f', '/lab/hosts/h1/logs/node.log'] }),
    process(22, 1, { cgroups: `4:memory:/docker/${'b'.repeat(64)}` }),
  ];
  expect(pids(all)).toEqual([10, 11, 12, 13, 14, 15]);
});

test('neither this process nor those that led to it', () => {
  const all = [
    process(1, 0),
    process(30, 1, { netns: 77 }),
    process(31, 30, { netns: 77 }),
    process(32, 1, { netns: 77 }),
  ];
  expect(pids(all, 31)).toEqual([32]);
});

test('an absent namespace is nobody’s', () => {
  expect(belongings([process(40, 1, { netns: 1 })], [{ folder: '/lab/hosts/h2', containers: [] }], 1)).toEqual([]);
});
