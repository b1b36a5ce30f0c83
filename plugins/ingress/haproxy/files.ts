import type { CertificateFile } from './certificates.ts';
import { configOf, fixedFiles, mapFile, names, type Structure } from './config.ts';
import { configName, type Doors, socketName } from './generation.ts';
import { certificateListOf, fileTextOf } from './plan.ts';
import { script } from './script.ts';
import type { Tables } from './tables.ts';

/** All that a process reads when it starts. */
export interface Whole {
  readonly structure: Structure;
  readonly tables: Tables;
  readonly certificates: readonly CertificateFile[];
}
const secretMode = 0o600;

export async function writeFiles({ machine, folder }: Doors, number: number, whole: Whole): Promise<void> {
  const { files } = machine;
  const { structure, tables, certificates } = whole;
  await files.mkdir(`${folder}/${names.root}`, { recursive: true, mode: 0o755 });
  await files.chmod(folder, 0o700);
  const texts = new Map([
    ...fixedFiles(script),
    ...Object.entries(tables.maps).map(([name, map]): [string, string] => [mapFile(name), fileTextOf(map)]),
    ...certificates.map(({ file, pem }): [string, string] => [file, pem]),
    [names.certificates, certificateListOf(certificates)],
    [configName(number), configOf(structure, socketName(number), tables.servers)],
  ]);
  for (const [name, text] of texts) await files.writeFile(`${folder}/${name}`, text, { mode: secretMode });
}

/** Keys are read when it starts; then they need not lie about. */
export async function forgetKeys({ machine, folder }: Doors, certificates: readonly CertificateFile[]): Promise<void> {
  for (const { file } of certificates) await machine.files.rm(`${folder}/${file}`, { force: true });
}

/** Of a process that has ended. */
export async function forgetGeneration({ machine, folder }: Doors, number: number): Promise<void> {
  for (const name of [configName(number), socketName(number)])
    await machine.files.rm(`${folder}/${name}`, { force: true });
}
