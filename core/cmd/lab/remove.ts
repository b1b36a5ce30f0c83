import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { systemExec } from '#base';
import { listNetns } from '../../../net/netns/netns.ts';
import { takeUp } from '../../../net/underlay/device.ts';
import { netnsPrefix } from '../../../net/underlay/plan.ts';
import { powerOff } from './power.ts';

/** Every process, container, mount, link, rule and namespace of a lab, from the id and the folder's name alone: all that was made outside of the folder carries one of them. */
export async function removeById(id: string, folder: string): Promise<void> {
  const names = await listNetns(systemExec, netnsPrefix(id));
  const hosts = new Set([...hostFoldersOf(folder), ...names.map((name) => name.slice(netnsPrefix(id).length))]);
  await powerOff(
    [...hosts].map((name) => ({ folder: join(folder, 'hosts', name), netns: `${netnsPrefix(id)}${name}` })),
  );
  await takeUp(systemExec, id);
}

function hostFoldersOf(folder: string): string[] {
  try {
    return readdirSync(join(folder, 'hosts'));
  } catch {
    return [];
  }
}
