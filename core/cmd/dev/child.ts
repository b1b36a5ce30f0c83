/**
 * A process of `plugin dev`: it has the SDK loaded and waits. The first line names the plugin's file; what that registers
 * is the first line back. Then it is the plugin's process, as a built plugin is one.
 */
import { messageOf } from '#base';
import type { Plugin } from '#sdk';
import { hostLines, ownOutput, record, serve } from '../../host/runner.ts';

// The first request of a process starts its network thread: it waits anyhow, and a reload then does not.
void fetch('http://localhost/', { unix: '/dev/null' } as RequestInit).catch(() => {});
const write = ownOutput();
const lines = hostLines();
const { value } = await lines.next();
if (value === undefined) process.exit(0);
try {
  const { file } = JSON.parse(value) as { file: string };
  const { default: plugin } = (await import(file)) as { default?: Plugin };
  if (!plugin) throw new Error(`${file} exports no plugin: export default plugin({ … })`);
  await write(JSON.stringify({ type: 'recorded', facts: await record(plugin) }));
  await serve(plugin, (message) => void write(JSON.stringify(message)), lines);
  process.exit(0);
} catch (error) {
  await write(JSON.stringify({ type: 'failed', message: messageOf(error) }));
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(1);
}
