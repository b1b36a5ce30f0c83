import { join } from 'node:path';
import type { Pod, Volume } from '#api';
import type { Files } from '#base';
import type { PodVolumeDrivers, VolumeCall } from '#sdk';
import { ConfigError } from '../env.ts';
import type { VolumeSources } from './volumes.ts';

/** Which volumes of a pod are a driver's: written down before they are published, read when they are given back. */
type Held = Readonly<Record<string, { readonly driver: string; readonly id: string }>>;
const recordName = 'drivers.json';

export const driverVolumeId = (podUid: string, volume: string): string => `${podUid}-${volume}`;

/** Ids of what any pod of this node may have of a driver. */
export async function liveDriverVolumes(podsFolder: string, files: Files): Promise<Set<string>> {
  const pods = await files.readdir(podsFolder).catch(() => []);
  const held = await Promise.all(pods.map((uid) => readHeld(join(podsFolder, uid), files)));
  return new Set(held.flatMap((one) => Object.values(one).map(({ id }) => id)));
}
const readHeld = (folder: string, files: Files): Promise<Held> =>
  files.readFile(join(folder, recordName), 'utf8').then(
    (text) => JSON.parse(text) as Held,
    () => ({}),
  );

/** The volumes of one pod that drivers of plugins make (`csi`). `folder`: the pod's. */
export class DriverVolumes {
  #turn: Promise<unknown> = Promise.resolve();
  constructor(
    private readonly sources: Pick<VolumeSources, 'files' | 'secrets'> & { readonly drivers?: PodVolumeDrivers },
    private readonly uid: string,
    private readonly folder: string,
  ) {}

  async prepare(pod: Readonly<Pod>, { name, csi }: Volume, target: string): Promise<void> {
    const { drivers } = this.sources;
    const { driver, volumeAttributes = {}, readOnly = false, fsType, nodePublishSecretRef } = csi!;
    if (!drivers?.has(driver))
      throw new Error(
        `kubernetes.io/csi: mounter.SetUpAt failed to get CSI client: driver name ${driver} not found in the list of registered CSI drivers`,
      );
    const id = driverVolumeId(this.uid, name);
    await this.#note((held) => ({ ...held, [name]: { driver, id } }));
    const { uid = '', namespace = '' } = pod.metadata;
    const volume: VolumeCall = {
      id,
      pod: { uid, name: pod.metadata.name ?? '', namespace },
      attributes: volumeAttributes,
      secrets: await this.#secrets(namespace, nodePublishSecretRef?.name),
      readOnly,
      ...(fsType === undefined ? {} : { fsType }),
    };
    await drivers.publish(driver, volume, target);
  }
  async #secrets(namespace: string, name: string | undefined): Promise<Record<string, string>> {
    if (name === undefined) return {};
    const secret = await this.sources.secrets.use(this.uid, namespace, name);
    if (!secret) throw new ConfigError(`secret ${JSON.stringify(name)} not found`);
    const texts = Object.entries(secret.data ?? {}).map(([key, value]) => [
      key,
      Buffer.from(value, 'base64').toString(),
    ]);
    return Object.fromEntries(texts);
  }

  /** Gives all of them back. Throws while a driver that is there does not answer: it is tried again. */
  async release(): Promise<void> {
    const held = await readHeld(this.folder, this.sources.files);
    for (const [name, { driver, id }] of Object.entries(held)) {
      const { drivers } = this.sources;
      if (!drivers) throw new Error(`volume ${name} is of driver ${driver}, and this node runs without drivers`);
      await drivers.unpublish(driver, id, join(this.folder, 'volumes', name));
      await this.#note(({ [name]: _gone, ...rest }) => rest);
    }
  }

  #note(change: (held: Held) => Held): Promise<void> {
    const { writeFile, rename, rm } = this.sources.files;
    const path = join(this.folder, recordName);
    const work = this.#turn.then(async () => {
      const next = change(await readHeld(this.folder, this.sources.files));
      if (Object.keys(next).length === 0) return rm(path, { force: true });
      await writeFile(`${path}.new`, JSON.stringify(next), { mode: 0o600 });
      await rename(`${path}.new`, path);
    });
    this.#turn = work.catch(() => {});
    return work;
  }
}
