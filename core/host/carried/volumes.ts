import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { type Exec, type Files, type Log, messageOf, mountPoints, PintleError, realFolder, unmountBelow } from '#base';
import type { PodVolumeDrivers, VolumeCall, VolumeMount } from '#sdk';
import type { Contributor, NodeContributions } from './contributions.ts';

export interface CarriedVolumesOptions {
  readonly contributions: NodeContributions;
  readonly files: Files;
  readonly exec: Exec;
  readonly log: Log;
  readonly isRoot: boolean;
  /** Of this process: the machine's mount program reaches folders that it has opened. */
  readonly pid: number;
  /** Ids of what pods of this node may still have. */
  readonly live: () => Promise<ReadonlySet<string>>;
}
const askMsMax = 60_000;
const listedMax = 10_000;
/** In a driver's state folder; it stays when the plugin is uninstalled. */
export const volumesFolder = 'volumes';
const sizeBytesMax = 64 * 2 ** 30;

/** The volume drivers of the plugins on one node. They say what a volume is made of; this mounts it, below the pod's folder. */
export class CarriedVolumes implements PodVolumeDrivers, Disposable {
  readonly #changes: Disposable;
  /** Drivers that answered when they were last looked at. */
  #up = new Set<string>();
  constructor(private readonly options: CarriedVolumesOptions) {
    this.#changes = options.contributions.onChange(() => this.#look());
  }
  [Symbol.dispose](): void {
    this.#changes[Symbol.dispose]();
  }
  has(driver: string): boolean {
    return this.options.contributions.owner('volumes', driver) !== undefined;
  }

  async publish(driver: string, volume: VolumeCall, target: string): Promise<void> {
    const { contributions, files, isRoot } = this.options;
    // Also of a pod that was adopted: what is mounted needs nobody's answer.
    if ((await mountPoints(await realFolder(target, files), files)).length > 0) return;
    if (!isRoot) throw new Error('a volume of a driver needs root to mount it');
    const name = driver;
    await contributions.ask('volumes', driver, 'volume.stage', { name, volume }, askMsMax);
    const said = await contributions.ask('volumes', driver, 'volume.publish', { name, volume }, askMsMax);
    const wanted = checkMount(driver, said);
    const owner = contributions.owner('volumes', driver);
    if (!owner) throw new Error(`volume driver ${driver} has gone`);
    await files.mkdir(target, { recursive: true });
    const readOnly = volume.readOnly || wanted.readOnly === true;
    if (wanted.type === 'folder') await this.#bind(driver, owner, wanted.name, target, readOnly);
    else
      await this.#mount([
        '-t',
        'tmpfs',
        '-o',
        `size=${wanted.sizeBytes},mode=0777,${flags(readOnly)}`,
        'tmpfs',
        target,
      ]);
  }

  async unpublish(driver: string, id: string, target: string): Promise<void> {
    const { contributions, files, exec, log } = this.options;
    await unmountBelow(await realFolder(target, files), files, exec);
    if (this.has(driver))
      await contributions.ask('volumes', driver, 'volume.unpublish', { name: driver, id }, askMsMax);
    else log.warn('a volume was unmounted without its driver, which is not installed', { driver, id });
  }

  /** The folder is opened step by step, never through a link, and mounted by what was opened: nobody can swap it meanwhile. */
  async #bind(
    driver: string,
    { stateFolder }: Contributor,
    name: string,
    target: string,
    readOnly: boolean,
  ): Promise<void> {
    const how = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
    const { open } = this.options.files;
    const opened: FileHandle[] = [];
    try {
      for (const path of [join(stateFolder, volumesFolder), name]) {
        const above = opened.at(-1);
        const next = open(above ? `/proc/self/fd/${above.fd}/${path}` : path, how);
        opened.push(
          await next.catch((error: unknown) => {
            throw refused(driver, `its folder ${JSON.stringify(name)} cannot be opened: ${messageOf(error)}`);
          }),
        );
      }
      const source = `/proc/${this.options.pid}/fd/${opened.at(-1)!.fd}`;
      await this.#mount(['--no-canonicalize', '--bind', source, target]);
      try {
        await this.#mount(['--no-canonicalize', '-o', `remount,bind,${flags(readOnly)}`, target]);
      } catch (error) {
        await this.options.exec.run(['umount', target]);
        throw error;
      }
    } finally {
      for (const handle of opened) await handle.close();
    }
  }
  async #mount(words: readonly string[]): Promise<void> {
    const { code, stderr } = await this.options.exec.run(['mount', ...words]);
    if (code !== 0) throw new Error(`mount ${words.join(' ')} failed: ${stderr.trim().slice(0, 300)}`);
  }

  /** A driver that has come up is asked what it holds: of pods that went while it was away it learns here. */
  #look(): void {
    const { contributions } = this.options;
    const up = contributions
      .names('volumes')
      .filter((driver) => contributions.owner('volumes', driver)?.target.isResponsive);
    for (const driver of up) if (!this.#up.has(driver)) void this.#forgetGone(driver);
    this.#up = new Set(up);
  }
  async #forgetGone(driver: string): Promise<void> {
    const { contributions, live, log } = this.options;
    try {
      const said = await contributions.ask('volumes', driver, 'volume.list', { name: driver }, askMsMax);
      const held = Array.isArray(said) ? said.slice(0, listedMax).filter((id) => typeof id === 'string') : [];
      const alive = await live();
      for (const id of held)
        if (!alive.has(id))
          await contributions.ask('volumes', driver, 'volume.unpublish', { name: driver, id }, askMsMax);
    } catch (error) {
      log.warn('volumes of gone pods not given back', { driver, error: messageOf(error) });
    }
  }
}

const flags = (readOnly: boolean): string => `nosuid,nodev${readOnly ? ',ro' : ''}`;
const refused = (driver: string, why: string): PintleError =>
  new PintleError('MOUNT_REFUSED', `volume driver ${driver} wants what it may not have: ${why}`, 'tell its author');

/** What a driver may have mounted. Throws MOUNT_REFUSED. Pure. */
export function checkMount(driver: string, said: unknown): VolumeMount {
  const one = (typeof said === 'object' && said !== null ? said : {}) as Readonly<Record<string, unknown>>;
  const { type, name, sizeBytes, readOnly } = one;
  const known = type === 'folder' ? ['type', 'name', 'readOnly'] : ['type', 'sizeBytes', 'readOnly'];
  const stray = Object.keys(one).find((key) => !known.includes(key));
  if (type !== 'folder' && type !== 'memory')
    throw refused(driver, `${JSON.stringify(type)?.slice(0, 60)} is neither folder nor memory`);
  if (stray !== undefined) throw refused(driver, `a ${type} has no ${JSON.stringify(stray.slice(0, 40))}`);
  if (readOnly !== undefined && typeof readOnly !== 'boolean') throw refused(driver, 'readOnly must be true or false');
  if (type === 'folder') {
    if (typeof name !== 'string' || !/^[a-zA-Z0-9]([-a-zA-Z0-9._]{0,126}[a-zA-Z0-9])?$/.test(name))
      throw refused(
        driver,
        `${JSON.stringify(name)?.slice(0, 60)} is no name of a folder: letters, digits, -, . and _`,
      );
    return { type, name, readOnly };
  }
  if (!Number.isSafeInteger(sizeBytes) || (sizeBytes as number) < 4_096 || (sizeBytes as number) > sizeBytesMax)
    throw refused(driver, `sizeBytes must be from 4096 to ${sizeBytesMax}`);
  return { type, sizeBytes: sizeBytes as number, readOnly };
}
