import { mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Home } from '../home.ts';
import { forgetBelow } from '../neighbours.ts';
import type { Progress } from '../progress.ts';
import { isLab, type Lab, readLab } from './record.ts';
import { removeById } from './remove.ts';

/** One file for each lab of this machine, its name the id, its text the folder: so that one whose folder was removed by hand is found. */
const registry = '/run/pintle/labs';

export function registerLab(lab: Lab): void {
  mkdirSync(registry, { recursive: true, mode: 0o755 });
  writeFileSync(join(registry, lab.record.id), lab.home.folder);
}

/** The lab's own entry, and those of its hosts. */
function unregister(id: string, folder: string): void {
  forgetBelow(folder);
  rmSync(join(registry, id), { force: true });
  for (const one of [registry, '/run/pintle'])
    try {
      rmdirSync(one); // the last one leaves nothing
    } catch {}
}

/** Everything of a lab, in whatever state it is. Its folder stays. */
export async function removeLab(lab: Lab): Promise<void> {
  await removeById(lab.record.id, lab.home.folder);
  unregister(lab.record.id, lab.home.folder);
}

/** Removes what is left of labs whose folder is gone. */
export async function forgetLostLabs(progress: Progress): Promise<void> {
  for (const { id, folder } of registered()) {
    const home = new Home(folder);
    if (isLab(home) && readLab(home).record.id === id) continue;
    await progress.step(`removing what is left of the lab in ${folder}, a folder that is gone`, () =>
      removeById(id, folder),
    );
    unregister(id, folder);
  }
}

function registered(): { id: string; folder: string }[] {
  try {
    return readdirSync(registry)
      .filter((id) => /^[0-9a-f]{8}$/.test(id))
      .map((id) => ({ id, folder: readFileSync(join(registry, id), 'utf8') }));
  } catch {
    return []; // none was registered
  }
}
