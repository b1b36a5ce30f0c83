import { expect, test } from 'bun:test';
import { blockOf } from '../../../net/underlay/block.ts';
import { planUnderlay, type UnderlayKind } from '../../../net/underlay/plan.ts';
import { type LabState, picture } from './picture.ts';

const stateOf = (kind: UnderlayKind, change: Partial<LabState> = {}): LabState => ({
  underlay: planUnderlay({
    id: '0a1b2c3d',
    kind,
    hosts: 3,
    block: blockOf('172.31.224.0/19', '0a1b2c3d'),
    mtuBytes: 1500,
  }),
  hosts: [
    { name: 'h1', power: 'running', ready: true, pods: 1, subnets: ['10.244.0.0/24'] },
    { name: 'h2', power: 'running', ready: false, pods: 3, subnets: ['10.244.1.0/24', 'fd00:1::/64'] },
    { name: 'h3', power: 'off' },
  ],
  cuts: [],
  delays: [],
  ...change,
});

test('a flat lab: who is Ready, where the pods are, who has no power', () => {
  expect(picture(stateOf('flat'))).toBe(`this machine 172.31.224.1 (link pl0a1b2c3d)
│
flat 172.31.224.0/19: one segment, a switch in namespace pl0a1b2c3d-net
│
├── h1 172.31.224.11  server and node, Ready, 1 pod in 10.244.0.0/24
├── h2 172.31.224.12  node, NotReady, 3 pods in 10.244.1.0/24, fd00:1::/64
└── h3 172.31.224.13  node, no power
`);
});

test('routers, cuts and delays are in the picture', () => {
  const text = picture(
    stateOf('nat', {
      cuts: [
        { from: 'h1', to: 'h3' },
        { from: 'h3', to: 'h1' },
        { from: 'h2', to: 'h1' },
      ],
      delays: [{ host: 'h2', delayMs: 50, jitterMs: 5, lossPercent: 1 }],
    }),
  );
  expect(text.split('\n').slice(4)).toEqual([
    '├── h1 172.31.224.11  server and node, Ready, 1 pod in 10.244.0.0/24',
    '│     ✂ cut from h3',
    '├── router 172.31.224.12 ── h2 172.31.226.10  node, NotReady, 3 pods in 10.244.1.0/24, fd00:1::/64',
    '│     ✂ nothing that it sends reaches h1',
    '│     ◷ 50 ms each way ± 5 ms, 1 % lost',
    '└── router 172.31.224.13 ── h3 172.31.227.10  node, no power',
    '      ✂ cut from h1',
    '',
  ]);
});

test('without an answer of the API nothing is claimed', () => {
  expect(picture(stateOf('routed', { hosts: [{ name: 'h1', power: 'running' }] }))).toContain(
    '├── h1 172.31.225.10  server and node, unknown\n├── h2 172.31.226.10  node, no power\n',
  );
});
