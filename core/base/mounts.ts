import { dirname, join } from 'node:path';
import type { Exec } from './exec.ts';
import type { Files } from './files.ts';

/** Mount points at or below a folder, the deepest first. A bind mount of the same disk is one, too, which no device number tells. */
export async function mountPoints(folder: string, files: Pick<Files, 'readFile'>): Promise<string[]> {
  const text = await files.readFile('/proc/self/mountinfo', 'utf8').catch(() => ''); // a system without it has no mounts
  return text
    .split('\n')
    .map((line) =>
      (line.split(' ')[4] ?? '').replaceAll(/\\([0-7]{3})/g, (_, octal) =>
        String.fromCharCode(Number.parseInt(octal, 8)),
      ),
    )
    .filter((point) => point === folder || point.startsWith(`${folder}/`))
    .sort((a, b) => b.length - a.length);
}

/** Unmounts all that is mounted at or below the folder. Throws when something stays: what is deleted then would be what is mounted. */
export async function unmountBelow(folder: string, files: Pick<Files, 'readFile'>, exec: Exec): Promise<void> {
  const failures: string[] = [];
  for (const point of await mountPoints(folder, files)) {
    const { code, stderr } = await exec.run(['umount', '-c', point]);
    if (code !== 0) failures.push(stderr.trim().slice(0, 200));
  }
  const left = await mountPoints(folder, files);
  if (left.length > 0) throw new Error(`${left[0]} is still mounted${failures[0] ? `: ${failures[0]}` : ''}`);
}

/** The real place of a folder whose parents may be links: as mount points are written. */
export const realFolder = async (folder: string, files: Pick<Files, 'realpath'>): Promise<string> => {
  const parent = await files.realpath(dirname(folder)).catch(() => dirname(folder));
  return join(parent, folder.slice(dirname(folder).length));
};
