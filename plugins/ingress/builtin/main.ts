import { messageOf, systemClock } from '#sdk';
import type { Routing } from '../model.ts';
import { createBuiltinDriver } from './driver.ts';
import type { FromPlane, ToPlane } from './messages.ts';

/**
 * The data plane as a process of its own, so that traffic takes no time from the node's other work and a fault of one is not
 * the other's. Reads a JSON object a line, and ends when its input does: with the node's process.
 */
const say = (message: FromPlane): void => void process.stdout.write(`${JSON.stringify(message)}\n`);
const note = (message: string, fields: object = {}): void =>
  void process.stderr.write(`${JSON.stringify({ message, ...fields })}\n`);
const log = { debug() {}, info: note, warn: note, error: note, with: () => log };

const driver = createBuiltinDriver({ clock: systemClock, log });

async function answer(message: ToPlane): Promise<FromPlane> {
  const { id } = message;
  try {
    if (message.type === 'metrics') return { id, type: 'metrics', text: await driver.metrics() };
    const applied = await driver.apply(message.routing as Routing);
    return { id, type: 'applied', applied, listening: driver.listening };
  } catch (error) {
    return { id, type: 'failed', reason: messageOf(error) };
  }
}

process.on('SIGTERM', () => {}); // its end is the end of its input, so that nothing is cut
const decoder = new TextDecoder();
let rest = '';
for await (const chunk of Bun.stdin.stream()) {
  const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
  rest = lines.pop()!;
  for (const line of lines) if (line) say(await answer(JSON.parse(line) as ToPlane));
}
await driver[Symbol.asyncDispose]();
process.exit(0);
