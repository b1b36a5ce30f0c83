import { afterAll, beforeAll, expect, test } from 'bun:test';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CallError, type Channel, type ChannelOptions, dialChannel, listenChannels } from './channel.ts';
import { systemClock } from './clock.ts';
import { Scope } from './scope.ts';

let place: string;
beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), 'pintle-channel-'));
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

const clock = systemClock;
async function pair(scope: Scope, here: Partial<ChannelOptions>, there: Partial<ChannelOptions>) {
  const path = join(place, `${Math.random()}.sock`);
  const accepted = Promise.withResolvers<Channel>();
  scope.use(
    await listenChannels(path, (channel) => {
      void Promise.resolve().then(() => accepted.resolve(channel()));
      return { clock, answer: () => 'there', ...there };
    }),
  );
  const near = scope.use(await dialChannel(path, { clock, answer: () => 'here', ...here }));
  return { near, far: await accepted.promise, path };
}
const failureOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'answered',
    (error: CallError) => `${error.failure}: ${error.message}`,
  );

test('both sides ask and answer; many at once, large ones, in whatever order', async () => {
  await using scope = new Scope();
  const waits = [30, 0, 10];
  const { near, far } = await pair(
    scope,
    {},
    {
      async answer(method, body) {
        if (method === 'wait') await clock.sleep(Number(body));
        if (method === 'fail') throw new Error('I will not');
        return { method, body };
      },
    },
  );
  expect(await far.call('x', 1, 5_000)).toBe('here');
  expect(await Promise.all(waits.map((ms) => near.call('wait', ms, 5_000)))).toEqual(
    waits.map((body) => ({ method: 'wait', body })),
  );
  const large = 'ä'.repeat(1_500_000);
  expect(await near.call('echo', large, 20_000)).toEqual({ method: 'echo', body: large });
  expect(await failureOf(near.call('fail', 0, 5_000))).toBe('remote: I will not');
});

test('no answer in time, too many, a message that is too long, an end: each is a failure of its own', async () => {
  await using scope = new Scope();
  const held = Promise.withResolvers<void>();
  const { near, far } = await pair(
    scope,
    { callsMax: 2, frameBytesMax: 1_000 },
    { answer: (method) => (method === 'flood' ? 'x'.repeat(2_000) : held.promise) },
  );
  expect(await failureOf(near.call('hold', 0, 20))).toBe('timeout: no answer within 20 ms');
  const two = [near.call('hold', 0, 20_000), near.call('hold', 0, 20_000)];
  expect(await failureOf(near.call('hold', 0, 20_000))).toBe('busy: more than 2 calls wait');
  held.resolve();
  await Promise.all(two);
  const asked = failureOf(near.call('flood', 0, 20_000));
  expect(await asked).toMatch(/^closed: it sent a message of 2\d\d\d bytes; 1000 is the most$/);
  expect(await far.closed).toBe('the other side closed');
  expect(near.isOpen || far.isOpen).toBe(false);
  expect(await failureOf(near.call('x', 0, 20))).toStartWith('closed: ');
});

test.each([
  ['text', 'hello'],
  ['no object', '1'],
  ['no number', '{"m":"x"}'],
  ['neither', '{"i":1}'],
  ['a prototype', '{"i":1,"m":"x","b":{"__proto__":{"a":1}}}'],
  ['a prototype in disguise', '{"i":1,"m":"x","b":{"\\u005f_proto__":{"a":1}}}'],
])('%s on the wire ends the channel', async (_what, text) => {
  await using scope = new Scope();
  const { far, path } = await pair(scope, {}, {});
  void far;
  const cut = Promise.withResolvers<void>();
  const socket = await Bun.connect({ unix: path, socket: { data() {}, close: () => cut.resolve() } });
  const frame = Buffer.alloc(4 + text.length);
  frame.writeUInt32BE(text.length);
  frame.write(text, 4);
  socket.write(frame);
  await cut.promise;
});

test('the listener takes its socket away', async () => {
  const scope = new Scope();
  const { far, path } = await pair(scope, {}, {});
  await scope[Symbol.asyncDispose]();
  expect([await far.closed, existsSync(path)]).toEqual(['the other side closed', false]);
});
