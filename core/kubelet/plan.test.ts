import { describe, expect, test } from 'bun:test';
import type { Container, Pod } from '#api';
import type { ContainerState } from '#sdk';
import { type Action, finalPhase, type Memory, type Observed, planPod, specHashOf } from './plan.ts';

const sandbox = { id: 's', podUid: 'u', podName: 'p', podNamespace: 'd', attempt: 0, ready: true, createdAtMs: 0 };
const container = (name: string, extra: Partial<Container> = {}): Container => ({ name, image: 'i', ...extra });
const pod = (extra: Partial<NonNullable<Pod['spec']>> = {}): Pod => ({
  metadata: { name: 'p', namespace: 'd', uid: 'u' },
  spec: { restartPolicy: 'Always', containers: [container('a')], ...extra },
});
const state = (name: string, now: ContainerState['state'], extra: Partial<ContainerState> = {}): ContainerState => ({
  id: `${name}${extra.attempt ?? 0}`,
  podUid: 'u',
  podName: 'p',
  podNamespace: 'd',
  name,
  attempt: 0,
  state: now,
  image: 'i',
  imageId: 'i',
  specHash: specHashOf(container(name)),
  annotations: {},
  createdAtMs: 0,
  finishedAtMs: 5_000,
  exitCode: now === 'exited' ? 0 : undefined,
  ...extra,
});
const memory = (extra: Partial<Memory> = {}): Memory => ({
  nowMs: 10_000,
  failedProbe: () => undefined,
  isStarted: () => true,
  crashUntilMs: () => 0,
  retryAtMs: () => 0,
  firstAttempt: () => 0,
  ...extra,
});
const short = (actions: readonly Action[]) =>
  actions.map((action) => {
    if (action.type === 'start') return `start ${action.container.spec.name} ${action.attempt}`;
    if (action.type === 'stop') return `stop ${action.container.spec.name}: ${action.message}`;
    if (action.type === 'remove') return `remove ${action.id}`;
    if (action.type === 'wait') return `wait ${action.container} ${action.untilMs}`;
    return action.type === 'finish' ? `finish ${action.phase}` : action.type;
  });
const plan = (p: Pod, observed: Observed, m = memory()) => short(planPod(p, observed, m));
const init = { initContainers: [container('i1'), container('side', { restartPolicy: 'Always' }), container('i2')] };
const failed = { exitCode: 1 };

describe('planPod', () => {
  const table: [string, Pod, Observed, Partial<Memory>, string[]][] = [
    ['a sandbox first', pod(), { containers: [] }, {}, ['createSandbox']],
    [
      'a dead sandbox is replaced',
      pod(),
      { sandbox: { ...sandbox, ready: false }, containers: [state('a', 'running')] },
      {},
      ['replaceSandbox'],
    ],
    ['starts what is missing', pod(), { sandbox, containers: [] }, {}, ['start a 0']],
    ['counts on after a lost sandbox', pod(), { sandbox, containers: [] }, { firstAttempt: () => 3 }, ['start a 3']],
    ['rests when all runs', pod(), { sandbox, containers: [state('a', 'running')] }, {}, []],
    ['restarts what ended', pod(), { sandbox, containers: [state('a', 'exited')] }, {}, ['start a 1']],
    [
      'waits for the back-off',
      pod(),
      { sandbox, containers: [state('a', 'exited')] },
      { crashUntilMs: () => 20_000 },
      ['wait a 20000'],
    ],
    ['waits after a failed pull', pod(), { sandbox, containers: [] }, { retryAtMs: () => 11_000 }, ['wait a 11000']],
    [
      'makes a half-made one anew',
      pod(),
      { sandbox, containers: [state('a', 'created')] },
      {},
      ['remove a0', 'start a 0'],
    ],
    [
      'keeps one past run',
      pod(),
      {
        sandbox,
        containers: [state('a', 'running', { attempt: 2 }), state('a', 'exited', { attempt: 1 }), state('a', 'exited')],
      },
      {},
      ['remove a0'],
    ],
    [
      'Never and done',
      pod({ restartPolicy: 'Never' }),
      { sandbox, containers: [state('a', 'exited')] },
      {},
      ['finish Succeeded'],
    ],
    [
      'Never and failed',
      pod({ restartPolicy: 'Never' }),
      { sandbox, containers: [state('a', 'exited', failed)] },
      {},
      ['finish Failed'],
    ],
    [
      'OnFailure and failed',
      pod({ restartPolicy: 'OnFailure' }),
      { sandbox, containers: [state('a', 'exited', failed)] },
      {},
      ['start a 1'],
    ],
    [
      'a lost one that must not run twice',
      pod({ restartPolicy: 'Never' }),
      { containers: [state('a', 'exited', { id: '', exitCode: 137 })] },
      {},
      ['finish Failed'],
    ],
    [
      'liveness',
      pod(),
      { sandbox, containers: [state('a', 'running')] },
      { failedProbe: () => 'liveness' },
      ['stop a: Container a failed liveness probe, will be restarted'],
    ],
    [
      'startup with Never',
      pod({ restartPolicy: 'Never' }),
      { sandbox, containers: [state('a', 'running')] },
      { failedProbe: () => 'startup' },
      ['stop a: Container a failed startup probe'],
    ],
    [
      'a new image',
      pod(),
      { sandbox, containers: [state('a', 'running', { specHash: 'old' })] },
      {},
      ['stop a: Container a definition changed, will be restarted'],
    ],
    ['init: one at a time', pod(init), { sandbox, containers: [] }, {}, ['start i1 0']],
    ['init: still runs', pod(init), { sandbox, containers: [state('i1', 'running')] }, {}, []],
    ['init: then the sidecar', pod(init), { sandbox, containers: [state('i1', 'exited')] }, {}, ['start side 0']],
    [
      'init: the sidecar has not started',
      pod(init),
      { sandbox, containers: [state('i1', 'exited'), state('side', 'running')] },
      { isStarted: () => false },
      [],
    ],
    [
      'init: then the next',
      pod(init),
      { sandbox, containers: [state('i1', 'exited'), state('side', 'running')] },
      {},
      ['start i2 0'],
    ],
    [
      'init: done',
      pod(init),
      { sandbox, containers: [state('i1', 'exited'), state('side', 'running'), state('i2', 'exited')] },
      {},
      ['start a 0'],
    ],
    [
      'init: failed, restarted',
      pod(init),
      { sandbox, containers: [state('i1', 'exited', failed)] },
      {},
      ['start i1 1'],
    ],
    [
      'init: failed for good',
      pod({ ...init, restartPolicy: 'Never' }),
      { sandbox, containers: [state('i1', 'exited', failed)] },
      {},
      ['finish Failed'],
    ],
    [
      'a sidecar ends last',
      pod({ ...init, restartPolicy: 'Never' }),
      { sandbox, containers: [state('side', 'running'), state('a', 'exited')] },
      {},
      ['stop side: Stopping container side'],
    ],
    [
      'a sidecar that died comes back',
      pod(init),
      { sandbox, containers: [state('side', 'exited'), state('a', 'running')] },
      {},
      ['start side 1'],
    ],
    [
      'ephemeral ones start once',
      pod({ ephemeralContainers: [{ name: 'e', image: 'i' }] }),
      { sandbox, containers: [state('a', 'running')] },
      {},
      ['start e 0'],
    ],
    [
      'ephemeral ones never again',
      pod({ ephemeralContainers: [{ name: 'e', image: 'i' }] }),
      { sandbox, containers: [state('a', 'running'), state('e', 'exited')] },
      {},
      [],
    ],
  ];
  test.each(table)('%s', (_name, p, observed, m, wanted) => {
    expect(plan(p, observed, memory(m))).toEqual(wanted);
  });
  test('a plan is the same when asked twice', () => {
    const observed = { sandbox, containers: [state('a', 'exited')] };
    expect(plan(pod(), observed)).toEqual(plan(pod(), observed));
  });
});

test('finalPhase: one failure makes the pod failed', () => {
  const p = pod({ restartPolicy: 'Never', containers: [container('a'), container('b')] });
  expect(finalPhase(p, { containers: [state('a', 'exited')] })).toBeUndefined();
  expect(finalPhase(p, { containers: [state('a', 'exited'), state('b', 'exited', failed)] })).toBe('Failed');
});
