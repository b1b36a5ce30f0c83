import { join } from 'node:path';
import { PintleError, spawnDetached, systemExec } from '#base';
import { netnsInode, netnsPath } from '../../../net/netns/netns.ts';
import { delayedPort } from '../../../net/underlay/cuts.ts';
import { heldTap, holdBatch, releaseBatch } from '../../../net/underlay/delays.ts';
import type { UnderlayHost } from '../../../net/underlay/plan.ts';
import { end, type ProcessRecord, waitUntil } from '../processes.ts';
import { allProcesses } from './belongings.ts';
import type { Delay, Lab } from './record.ts';

const relayProgram = join(import.meta.dir, 'delay-relay.ts');
const delayMsMax = 60_000;
const tapMsMax = 5_000;

/** `50`, `50ms`, `1.5s` in milliseconds; `flag` says in whose name it is refused. */
export function millisecondsOf(text: string, flag: string): number {
  const [, count, unit] = /^(\d{1,6}(?:\.\d{1,3})?)(ms|s)?$/.exec(text) ?? [];
  const ms = Number(count) * (unit === 's' ? 1000 : 1);
  if (ms >= 0 && ms <= delayMsMax) return ms;
  throw new PintleError('BAD_FLAG', `${flag} ${text} is no time up to ${delayMsMax / 1000}s`, 'write it as 50ms');
}

/** What each host's relay should do, and does. Idempotent. */
export async function applyDelays(lab: Lab): Promise<void> {
  const running = relaysOf(lab);
  for (const host of lab.hosts) {
    const wanted = lab.record.delays.find((one) => one.host === host.name);
    const relay = running.find(({ argv }) => argv.includes(heldTap(host)));
    if (relay && wanted && relay.argv.join(' ').endsWith(` ${wordsOf(wanted).join(' ')}`)) continue;
    if (relay) await release(lab, host, relay.process);
    if (wanted) await hold(lab, host, wanted);
  }
}

const wordsOf = ({ delayMs, jitterMs, lossPercent }: Delay): string[] => [delayMs, jitterMs, lossPercent].map(String);

function relaysOf(lab: Lab): { argv: readonly string[]; process: ProcessRecord }[] {
  const middle = netnsInode(lab.underlay.middle);
  return allProcesses()
    .filter(({ netns, argv }) => netns === middle && argv.includes(relayProgram))
    .map((one) => ({ argv: one.argv.filter((word) => word !== ''), process: one }));
}

async function hold(lab: Lab, host: UnderlayHost, delay: Delay): Promise<void> {
  const { middle } = lab.underlay;
  const started = await spawnDetached([
    ...['nsenter', `--net=${netnsPath(middle)}`, '--', process.execPath, '--smol', relayProgram],
    ...[heldTap(host), delayedPort(host.port), ...wordsOf(delay)],
  ]);
  const joined =
    started.firstLine === 'ready'
      ? await systemExec.run(['ip', '-netns', middle, '-batch', '-'], { stdin: holdBatch(host) })
      : undefined;
  if (joined?.code === 0) return;
  throw new PintleError(
    'LAB_DELAY_FAILED',
    `packets of ${host.name} cannot be delayed: ${joined ? joined.stderr.trim() : 'no tap devices can be made'}`,
    'this needs /dev/net/tun; see that it exists and may be opened',
  );
}

async function release(lab: Lab, host: UnderlayHost, relay: ProcessRecord): Promise<void> {
  await systemExec.run(['ip', '-netns', lab.underlay.middle, '-force', '-batch', '-'], { stdin: releaseBatch(host) });
  await end([relay], 0); // its taps go with it, a moment later: whoever holds packets back next wants their names
  const isThere = async (tap: string) =>
    (await systemExec.run(['ip', '-netns', lab.underlay.middle, 'link', 'show', 'dev', tap])).code === 0;
  for (const tap of [heldTap(host), delayedPort(host.port)])
    await waitUntil(async () => !(await isThere(tap)), tapMsMax);
}
