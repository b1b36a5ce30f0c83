import { expect, test } from 'bun:test';
import { seededRandom, systemClock } from '#base';
import { echoRequest, readEchoReply } from './echo.ts';
import { measurePaths } from './path-mtu.ts';
import type { EchoSocket } from './raw-socket.ts';
import { narrow, nextSizes } from './search.ts';

test('a search ends at the exact size, in few rounds, for every size there is', () => {
  for (let mtu = 576; mtu <= 9000; mtu += 7) {
    let search = { passedBytes: 27, failedBytes: 9001 };
    let rounds = 0;
    for (let sizes = nextSizes(search); sizes.length > 0; sizes = nextSizes(search)) {
      expect(sizes.length).toBeLessThanOrEqual(20);
      search = narrow(search, sizes, new Set(sizes.filter((size) => size <= mtu)));
      rounds++;
    }
    expect([search.passedBytes, rounds <= 5]).toEqual([mtu, true]);
  }
});

test('an answer that got lost is no boundary when a larger one came', () => {
  expect(narrow({ passedBytes: 28, failedBytes: 1501 }, [28, 1400, 1450, 1500], new Set([28, 1450]))).toEqual({
    passedBytes: 1450,
    failedBytes: 1500,
  });
});

/** As a machine answers: IPv4 with its header in front. */
function answerTo(family: 4 | 6, message: Uint8Array): Uint8Array {
  const reply = message.slice();
  reply[0] = family === 4 ? 0 : 129;
  if (family === 6) return reply;
  const packet = new Uint8Array(20 + reply.length);
  packet[0] = 0x45;
  packet.set(reply, 20);
  return packet;
}

test('an echo message is read again; others are not ours', () => {
  for (const family of [4, 6] as const) {
    const message = echoRequest(family, 77, 9, 1400);
    expect(message.length).toBe(family === 4 ? 1380 : 1360);
    expect(readEchoReply(family, answerTo(family, message), 77)).toEqual({ sequence: 9 });
    expect(readEchoReply(family, answerTo(family, message), 78)).toBeUndefined();
    expect(readEchoReply(family, new Uint8Array(3), 77)).toBeUndefined();
  }
  const sum = echoRequest(4, 77, 9, 28);
  const words = [0, 2, 4, 6].map((place) => (sum[place]! << 8) | sum[place + 1]!);
  expect(words.reduce((total, word) => total + word, 0) % 0xffff).toBe(0);
});

/** Ways of these sizes; 0 answers nothing. `lose`: the first so many packets. */
function world(mtus: Record<string, number>, lose = 0) {
  let sent = 0;
  const open = (family: 4 | 6): EchoSocket => {
    const queue: { from: string; packet: Uint8Array }[] = [];
    return {
      send(address, message) {
        sent++;
        const size = message.length + (family === 4 ? 20 : 40);
        if (size > 9000) return false;
        if (size <= mtus[address]! && sent > lose) queue.push({ from: address, packet: answerTo(family, message) });
        return true;
      },
      receive: () => queue.shift(),
      [Symbol.dispose]() {},
    };
  };
  return { open, sent: () => sent };
}
const options = { clock: systemClock, random: seededRandom(1), waitMs: 20 };

test('each way is measured; one that never answers is left out', async () => {
  const { open } = world({ '192.0.2.1': 1500, '192.0.2.2': 1420, '192.0.2.3': 0, 'fd00::1': 1333 });
  const ways = ['192.0.2.1', '192.0.2.2', '192.0.2.3', 'fd00::1'].map((address) => ({ address, linkMtuBytes: 1500 }));
  expect(await measurePaths(ways, { ...options, open })).toEqual(
    new Map([
      ['192.0.2.1', 1500],
      ['192.0.2.2', 1420],
      ['fd00::1', 1333],
    ]),
  );
});

test('what is known costs three packets, a cut is noticed, and so is room that came back', async () => {
  const measureOne = async (mtu: number, knownBytes: number) => {
    const { open, sent } = world({ '192.0.2.1': mtu });
    const found = await measurePaths([{ address: '192.0.2.1', linkMtuBytes: 1500, knownBytes }], { ...options, open });
    return { found: found.get('192.0.2.1'), sent: sent() };
  };
  expect(await measureOne(1500, 1500)).toEqual({ found: 1500, sent: 2 });
  expect((await measureOne(1420, 1420)).found).toBe(1420);
  expect((await measureOne(1300, 1420)).found).toBe(1300);
  expect((await measureOne(1450, 1420)).found).toBe(1450);
});

test('a lost packet is sent again', async () => {
  const { open } = world({ '192.0.2.1': 1500 }, 2);
  const found = await measurePaths([{ address: '192.0.2.1', linkMtuBytes: 1500 }], { ...options, open });
  expect(found.get('192.0.2.1')).toBe(1500);
});
