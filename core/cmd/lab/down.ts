import { rmSync } from 'node:fs';
import { PintleError } from '#base';
import { openHome } from '../home.ts';
import { takeTurn } from '../lock.ts';
import { createProgress } from '../progress.ts';
import { isLab, readLab } from './record.ts';
import { forgetLostLabs, removeLab } from './registry.ts';

/** `lab down`: removes every host with its data, and everything between them, in whatever state they are. */
export async function labDown(options: { home?: string; yes?: boolean }): Promise<void> {
  const home = openHome(options.home);
  const progress = createProgress();
  await forgetLostLabs(progress);
  if (!isLab(home)) return progress.note(`there is no lab in ${home.folder}; nothing to remove`);
  const lab = readLab(home);
  if (!options.yes) confirmed(`Remove the lab in ${home.folder} with the data of its ${lab.hosts.length} hosts?`);
  using _turn = await takeTurn(home, progress);
  await progress.step(`removing ${lab.hosts.length} hosts and what is between them`, () => removeLab(lab));
  rmSync(home.folder, { recursive: true, force: true });
}

function confirmed(question: string): void {
  const next = 'add --yes to remove without being asked';
  if (!process.stdin.isTTY)
    throw new PintleError('NOT_CONFIRMED', 'nothing was removed: input is no terminal, so nobody can be asked', next);
  if (!confirm(question)) throw new PintleError('NOT_CONFIRMED', 'nothing was removed', next);
}
