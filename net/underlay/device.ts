import type { Exec } from '#base';
import { deleteNetns, listNetns } from '../netns/netns.ts';
import { acceptForwarding, dropForwardingRules } from '../pods/forwarding.ts';
import {
  cableBatch,
  completeMark,
  endBatch,
  forwardingSysctls,
  masqueradeTable,
  outsideTable,
  outsideTableName,
  placeBatch,
} from './commands.ts';
import { type Cable, type CableEnd, netnsPrefix, type Place, type Underlay } from './plan.ts';

/** Makes what is missing and leaves what is complete alone. A namespace that is half made is made anew. Returns the names that were made. */
export async function lay(exec: Exec, plan: Underlay): Promise<string[]> {
  const found = await observe(exec, plan);
  const fresh = plan.places.filter((place) => !found.complete.has(place.netns));
  const halfMade = fresh.filter(({ netns }) => found.netns.has(netns));
  for (const { netns } of halfMade) await unplug(exec, plan, netns);
  const isFresh = (end: CableEnd) => fresh.some(({ netns }) => netns === end.netns);
  const cables = plan.cables.filter((cable) => cable.some(isFresh) || (!found.outside && cable.some(isOutside)));
  if (cables.length === 0) return [];
  await must(exec, ['ip', '-batch', '-'], lines(fresh.map(({ netns }) => `netns add ${netns}`)));
  await must(exec, ['ip', '-batch', '-'], cableBatch(cables, plan.spec.mtuBytes));
  await Promise.all([
    ...plan.places.map((place) => furnish(exec, place, cables, fresh.includes(place))),
    cables.some((cable) => cable.some(isOutside)) ? openOutside(exec, plan, cables) : undefined,
  ]);
  return fresh.map(({ netns }) => netns);
}

const isOutside = (end: CableEnd): boolean => end.netns === undefined;
const endsIn = (cables: readonly Cable[], netns: string | undefined): CableEnd[] =>
  cables.flat().filter((end) => end.netns === netns);

async function observe(exec: Exec, plan: Underlay) {
  const names = await listNetns(exec, netnsPrefix(plan.spec.id));
  const [marked, outside] = await Promise.all([
    Promise.all(names.map((name) => exec.run(['ip', '-netns', name, 'link', 'show', 'dev', 'lo']))),
    exec.run(['ip', 'link', 'show', 'dev', plan.outside.link]),
  ]);
  return {
    netns: new Set(names),
    complete: new Set(names.filter((_name, at) => marked[at]!.stdout.includes(completeMark))),
    outside: outside.code === 0,
  };
}

async function furnish(exec: Exec, place: Place, cables: readonly Cable[], fresh: boolean): Promise<void> {
  const ends = endsIn(cables, place.netns);
  const { netns } = place;
  if (!fresh) {
    if (ends.length > 0) await must(exec, ['ip', '-netns', netns, '-batch', '-'], endBatch(ends));
    return;
  }
  const inside = { netns: `/run/netns/${netns}` };
  if (place.forwards) await must(exec, ['sysctl', '-q', '-w', ...forwardingSysctls], undefined, inside.netns);
  if (place.masquerades) await must(exec, ['nft', '-f', '-'], masqueradeTable(place.masquerades), inside.netns);
  await must(exec, ['ip', '-netns', netns, '-batch', '-'], placeBatch(place, ends)); // last: it sets the mark
}

/** The machine's side: its link, routes, masquerading, and accepts where a firewall of others drops what is forwarded. */
async function openOutside(exec: Exec, plan: Underlay, cables: readonly Cable[]): Promise<void> {
  await must(exec, ['ip', '-batch', '-'], placeBatch(undefined, endsIn(cables, undefined), plan.outside.routes));
  await must(exec, ['sysctl', '-q', '-w', 'net.ipv4.ip_forward=1']);
  await must(exec, ['nft', '-f', '-'], outsideTable(plan));
  await acceptForwarding(exec, ownerOf(plan.spec.id), [plan.spec.block.cidr]);
}
const ownerOf = (id: string): string => `lab ${id}`;

/** Pulls a host's cables and deletes its namespace: what runs in it must have ended. `lay` plugs it in again. */
export async function unplug(exec: Exec, plan: Underlay, netns: string): Promise<void> {
  // With one end both go at once; those of a deleted namespace would go some time later.
  for (const cable of plan.cables.filter((one) => one.some((end) => end.netns === netns))) await pull(exec, cable);
  await deleteNetns(exec, netns);
}

async function pull(exec: Exec, cable: Cable): Promise<void> {
  for (const { netns, link } of cable)
    await exec.run(['ip', ...(netns ? ['-netns', netns] : []), 'link', 'delete', 'dev', link]);
}

/** Removes everything that carries the lab's id, whatever of it is there. What runs in the namespaces must have ended. */
export async function takeUp(exec: Exec, id: string): Promise<void> {
  const names = await listNetns(exec, netnsPrefix(id));
  await exec.run(['ip', 'link', 'delete', 'dev', `pl${id}`]); // the routes go with it
  const table = outsideTableName(id);
  await Promise.all([
    exec.run(['nft', '-f', '-'], { stdin: `table ip ${table}\ndelete table ip ${table}\n` }),
    dropForwardingRules(exec, ownerOf(id)),
    ...names.map((name) => deleteNetns(exec, name)),
  ]);
}

const lines = (commands: readonly string[]): string => commands.map((line) => `${line}\n`).join('');
async function must(exec: Exec, argv: readonly string[], stdin?: string, netns?: string): Promise<void> {
  if (stdin === '') return;
  const result = await exec.run(argv, { ...(stdin === undefined ? {} : { stdin }), ...(netns ? { netns } : {}) });
  if (result.code !== 0)
    throw new Error(`${argv.join(' ')} failed: ${(result.stderr || result.stdout).trim() || `code ${result.code}`}`);
}
