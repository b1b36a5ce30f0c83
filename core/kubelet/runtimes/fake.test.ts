import { expect, test } from 'bun:test';
import { seededRandom, systemClock } from '#base';
import { containerSpec } from '../../../test/fixtures/container-spec.ts';
import { rejection } from '../../../test/fixtures/rejection.ts';
import { createFakeRuntime } from './fake.ts';

const sandbox = {
  podUid: 'u1',
  podName: 'p',
  podNamespace: 'default',
  hostname: 'p',
  network: 'pod',
  attempt: 0,
} as const;
const spec = containerSpec();

test('a scripted container prints, exits with its code, and the change is hinted', async () => {
  await using runtime = createFakeRuntime({
    clock: systemClock,
    random: seededRandom(1),
    ipPrefix: '10.88.0',
    script: () => ({ lines: ['one', 'two'], exitCode: 3 }),
  });
  const state = await runtime.ensureSandbox(sandbox);
  expect(state.ips).toEqual(['10.88.0.1']);
  const end = new AbortController();
  const hints = runtime.changes(end.signal);
  await runtime.start(await runtime.create(spec));
  for await (const hint of hints) {
    expect(hint.podUid).toBe('u1');
    if ((await runtime.observe()).containers[0]?.state === 'exited') break;
  }
  end.abort();
  const container = (await runtime.observe('u1')).containers[0]!;
  expect(container.exitCode).toBe(3);
  const lines: string[] = [];
  for await (const line of runtime.logs(container.id, {}, new AbortController().signal))
    lines.push(new TextDecoder().decode(line.bytes));
  expect(lines).toEqual(['one\n', 'two\n']);
});

test('hooks: exit, crash of the sandbox, engine away', async () => {
  await using runtime = createFakeRuntime({ clock: systemClock, random: seededRandom(1) });
  await runtime.ensureSandbox(sandbox);
  await runtime.start(await runtime.create(spec));
  runtime.exit('u1', 'c', 137, { oomKilled: true });
  expect((await runtime.observe()).containers[0]).toMatchObject({ state: 'exited', exitCode: 137, oomKilled: true });
  await runtime.start(await runtime.create({ ...spec, attempt: 1 }));
  runtime.crashSandbox('u1');
  expect((await runtime.observe()).sandboxes[0]?.ready).toBe(false);
  expect((await runtime.observe()).containers.map((each) => each.state)).toEqual(['exited', 'exited']);
  const back = runtime.goAway();
  expect((await rejection(runtime.observe())).message).toMatch('away');
  back();
  expect(runtime.calls['create']).toBe(2);
});
