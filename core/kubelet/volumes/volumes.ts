import { join } from 'node:path';
import { type ConfigMap, type KeyToPath, type Pod, type Secret, type Volume, wholeOf } from '#api';
import { type Clock, type Exec, type Files, mountPoints, realFolder, unmountBelow } from '#base';
import type { PodVolumeDrivers } from '#sdk';
import type { PodFacts } from '../downward.ts';
import type { ReferencedObjects } from '../referenced-objects.ts';
import { writeAtomically } from './atomic-writer.ts';
import { DriverVolumes } from './driver-volumes.ts';
import { prepareHostPath } from './host-path.ts';
import { commonUser, defaultFileMode, downwardFiles, keyFiles, type Payload, safePath } from './payload.ts';
import type { PodCertificates } from './pod-certificates.ts';
import type { PodTokens } from './token.ts';
import type { TrustBundles } from './trust-bundles.ts';

export interface VolumeSources {
  readonly configMaps: ReferencedObjects<ConfigMap>;
  readonly secrets: ReferencedObjects<Secret>;
  readonly tokens: PodTokens;
  readonly trustBundles: TrustBundles;
  readonly certificates: PodCertificates;
  readonly clock: Clock;
  readonly exec: Exec;
  readonly files: Files;
  /** Holds a folder for each pod. */
  readonly podsFolder: string;
  /** May mount and give files away. */
  readonly isRoot: boolean;
  /** Of plugins. Absent: this node has none. */
  readonly drivers?: PodVolumeDrivers;
}

const isLive = (volume: Volume) => volume.configMap || volume.secret || volume.downwardAPI || volume.projected;

/** The volumes of one pod below `podsFolder/UID/volumes/NAME`. */
export class PodVolumes {
  readonly folder: string;
  #stamp = 0;
  readonly #ofDrivers: DriverVolumes;
  constructor(
    private readonly sources: VolumeSources,
    private readonly uid: string,
  ) {
    this.folder = join(sources.podsFolder, uid);
    this.#ofDrivers = new DriverVolumes(sources, uid, this.folder);
  }

  /**
   * Makes every volume ready; safe to repeat. Resolves to the folder of each and to when (monotonic) live ones must be written again
   * (tokens). With `liveOnly` only those that can change are written anew. Throws naming the volume that failed.
   */
  async prepare(
    pod: Readonly<Pod>,
    facts: PodFacts,
    liveOnly = false,
  ): Promise<{ paths: Map<string, string>; renewAtMs: number }> {
    const paths = new Map<string, string>();
    let renewAtMs = Number.POSITIVE_INFINITY;
    await this.sources.files.mkdir(join(this.folder, 'volumes'), { recursive: true });
    await Promise.all(
      (pod.spec?.volumes ?? []).map(async (volume) => {
        try {
          if (liveOnly && !isLive(volume)) return;
          const prepared = await this.#prepareOne(pod, volume, facts);
          paths.set(volume.name, prepared.path);
          renewAtMs = Math.min(renewAtMs, prepared.renewAtMs ?? renewAtMs);
        } catch (error) {
          throw new Error(
            `MountVolume.SetUp failed for volume "${volume.name}" : ${error instanceof Error ? error.message : error}`,
          );
        }
      }),
    );
    return { paths, renewAtMs };
  }

  /** Unmounts and removes everything; what hostPath volumes point at stays. */
  async remove(): Promise<void> {
    await this.removeVolumes();
    await this.sources.files.rm(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }

  /** The volumes alone: of a pod that has ended, whose termination messages stay. Throws while something is mounted: that is not ours to delete. */
  async removeVolumes(): Promise<void> {
    const { isRoot, files, exec } = this.sources;
    const volumes = join(this.folder, 'volumes');
    await this.#ofDrivers.release();
    if (isRoot) await unmountBelow(await realFolder(volumes, files), files, exec);
    await files.rm(volumes, { recursive: true, force: true, maxRetries: 3 });
  }

  async #prepareOne(
    pod: Readonly<Pod>,
    volume: Volume,
    facts: PodFacts,
  ): Promise<{ path: string; renewAtMs?: number }> {
    if (volume.hostPath) return { path: await prepareHostPath(volume.hostPath, this.sources.files) };
    const path = join(this.folder, 'volumes', volume.name);
    const group = pod.spec?.securityContext?.fsGroup;
    if (volume.csi) {
      await this.#ofDrivers.prepare(pod, volume, path);
      if (group !== undefined && !volume.csi.readOnly) await this.#giveTo(path, group);
      return { path };
    }
    if (volume.emptyDir || !isLive(volume)) {
      await this.#emptyDir(path, volume, group);
      return { path };
    }
    const { files, renewAtMs } = await this.#payload(pod, volume, facts);
    const stamp = `${new Date(this.sources.clock.now()).toISOString().replaceAll(/[-:.TZ]/g, '_')}${this.#stamp++}`;
    await writeAtomically(path, files, {
      stamp,
      group: this.sources.isRoot ? group : undefined,
      disk: this.sources.files,
    });
    return { path, renewAtMs };
  }

  async #emptyDir(path: string, volume: Volume, group: number | undefined): Promise<void> {
    const { isRoot, exec, files } = this.sources;
    const { chmod, lstat, mkdir } = files;
    const fresh = !(await lstat(path).catch(() => undefined));
    await mkdir(path, { recursive: true });
    if (volume.emptyDir?.medium === 'Memory') {
      if (!isRoot) throw new Error('an emptyDir of medium Memory needs root to mount it');
      const isMounted = (await mountPoints(await realFolder(path, files), files)).length > 0;
      if (!isMounted) {
        const size = wholeOf(volume.emptyDir.sizeLimit);
        const { code, stderr } = await exec.run([
          'mount',
          '-t',
          'tmpfs',
          '-o',
          size ? `size=${size}` : 'size=50%',
          'tmpfs',
          path,
        ]);
        if (code !== 0) throw new Error(`mount of tmpfs failed: ${stderr.trim()}`);
      } else return;
    } else if (!fresh) return;
    await chmod(path, volume.emptyDir?.mode ?? 0o777);
    if (group !== undefined && isRoot) await this.#giveTo(path, group);
  }
  async #giveTo(path: string, group: number): Promise<void> {
    const { chmod, chown, lstat } = this.sources.files;
    await chown(path, (await lstat(path)).uid, group);
    await chmod(path, 0o2777);
  }

  async #payload(pod: Readonly<Pod>, volume: Volume, facts: PodFacts): Promise<{ files: Payload; renewAtMs?: number }> {
    if (volume.configMap) return { files: await this.#keys(pod, 'configmap', volume.configMap, volume.configMap) };
    if (volume.secret)
      return {
        files: await this.#keys(pod, 'secret', { ...volume.secret, name: volume.secret.secretName }, volume.secret),
      };
    if (volume.downwardAPI)
      return {
        files: downwardFiles(
          volume.downwardAPI.items ?? [],
          pod,
          facts,
          volume.downwardAPI.defaultMode ?? defaultFileMode,
          volume.downwardAPI.defaultUser,
        ),
      };
    const files: Payload = new Map();
    let renewAtMs = Number.POSITIVE_INFINITY;
    const { defaultMode: mode = defaultFileMode, defaultUser } = volume.projected ?? {};
    const defaults = { defaultMode: mode, defaultUser };
    for (const [index, source] of (volume.projected?.sources ?? []).entries()) {
      let part: Payload = new Map();
      if (source.configMap) part = await this.#keys(pod, 'configmap', source.configMap, defaults);
      else if (source.secret) part = await this.#keys(pod, 'secret', source.secret, defaults);
      else if (source.downwardAPI) part = downwardFiles(source.downwardAPI.items ?? [], pod, facts, mode, defaultUser);
      else if (source.serviceAccountToken) {
        const { audience, expirationSeconds, path, user = defaultUser } = source.serviceAccountToken;
        const held = await this.sources.tokens.token(pod, audience, expirationSeconds);
        renewAtMs = Math.min(renewAtMs, held.renewAtMs);
        part.set(safePath(path), this.#secretFile(pod, held.token, mode, user));
      }
      if (source.clusterTrustBundle) {
        const { path, user = defaultUser } = source.clusterTrustBundle;
        const text = await this.sources.trustBundles.text(this.uid, source.clusterTrustBundle);
        part.set(safePath(path), { bytes: new TextEncoder().encode(text), mode, user });
      }
      if (source.podCertificate) {
        const { credentialBundlePath, keyPath, certificateChainPath, user = defaultUser } = source.podCertificate;
        const held = await this.sources.certificates.certificate(pod, `${volume.name} ${index}`, source.podCertificate);
        renewAtMs = Math.min(renewAtMs, held.renewAtMs);
        for (const [path, text] of [
          [credentialBundlePath, held.key + held.chain],
          [keyPath, held.key],
          [certificateChainPath, held.chain],
        ] as const)
          if (path) part.set(safePath(path), this.#secretFile(pod, text, mode, user));
      }
      for (const [path, file] of part) files.set(path, file);
    }
    return { files, renewAtMs };
  }

  /** Where it is known who reads it, nobody else may; fsGroup adds its group's right when the file is written. */
  #secretFile(pod: Readonly<Pod>, text: string, mode: number, user: number | undefined) {
    const owner = user ?? (this.sources.isRoot ? commonUser(pod) : undefined);
    const isPrivate = owner !== undefined || pod.spec?.securityContext?.fsGroup !== undefined;
    return { bytes: new TextEncoder().encode(text), mode: isPrivate ? 0o600 : mode, user: owner };
  }

  async #keys(
    pod: Readonly<Pod>,
    what: 'configmap' | 'secret',
    source: { name?: string; items?: KeyToPath[]; optional?: boolean },
    defaults: { readonly defaultMode?: number; readonly defaultUser?: number },
  ): Promise<Payload> {
    const namespace = pod.metadata.namespace ?? '';
    const name = source.name ?? '';
    const objects: ReferencedObjects<ConfigMap | Secret> =
      what === 'secret' ? this.sources.secrets : this.sources.configMaps;
    const object = await objects.use(this.uid, namespace, name);
    const { defaultMode: mode = defaultFileMode, defaultUser: user } = defaults;
    return keyFiles(object, { what, namespace, name, items: source.items, optional: source.optional, mode, user });
  }
}
