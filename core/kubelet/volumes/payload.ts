import type { ConfigMap, DownwardAPIVolumeFile, KeyToPath, Pod, Secret } from '#api';
import { fieldValue, type PodFacts, resourceValue } from '../downward.ts';
import { ConfigError } from '../env.ts';
import { containersOf } from '../names.ts';

/** Files of one volume by their path in it. */
export type Payload = Map<
  string,
  { readonly bytes: Uint8Array; readonly mode: number /** Owner; absent: ours. */; readonly user?: number }
>;

const text = (value: string) => new TextEncoder().encode(value);
export const defaultFileMode = 0o644;

/** The keys of a config map or secret as files; `items` choose and rename. Throws ConfigError for a key that is not there. */
export function keyFiles(
  object: Readonly<ConfigMap | Secret> | undefined,
  options: {
    readonly what: 'configmap' | 'secret';
    readonly namespace: string;
    readonly name: string;
    readonly items?: readonly KeyToPath[];
    readonly optional?: boolean;
    readonly mode: number;
    readonly user?: number;
  },
): Payload {
  const files: Payload = new Map();
  const { what, namespace, name, items, optional, mode, user } = options;
  if (!object) {
    if (optional) return files;
    throw new ConfigError(`${what} "${name}" not found`);
  }
  const data = new Map<string, Uint8Array>();
  if (what === 'secret') {
    for (const [key, value] of Object.entries(object.data ?? {})) data.set(key, Buffer.from(value, 'base64'));
  } else {
    for (const [key, value] of Object.entries(object.data ?? {})) data.set(key, text(value));
    for (const [key, value] of Object.entries((object as ConfigMap).binaryData ?? {}))
      data.set(key, Buffer.from(value, 'base64'));
  }
  if (!items?.length) {
    for (const [key, bytes] of data) files.set(key, { bytes, mode, user });
    return files;
  }
  for (const item of items) {
    const bytes = data.get(item.key);
    if (bytes) files.set(safePath(item.path), { bytes, mode: item.mode ?? mode, user: item.user ?? user });
    else if (!optional)
      throw new ConfigError(
        `${what} references non-existent ${what === 'secret' ? 'secret' : 'config'} key: ${item.key} in ${namespace}/${name}`,
      );
  }
  return files;
}

/** The user that all containers run as, which may then own the pod's tokens alone; undefined when they differ or the image decides. */
export function commonUser(pod: Readonly<Pod>): number | undefined {
  const users = new Set(
    containersOf(pod).map(({ spec }) => spec.securityContext?.runAsUser ?? pod.spec?.securityContext?.runAsUser),
  );
  return users.size === 1 ? [...users][0] : undefined;
}

export function downwardFiles(
  items: readonly DownwardAPIVolumeFile[],
  pod: Readonly<Pod>,
  facts: PodFacts,
  mode: number,
  user?: number,
): Payload {
  const files: Payload = new Map();
  for (const item of items) {
    const value = item.fieldRef
      ? fieldValue(item.fieldRef, pod, facts)
      : item.resourceFieldRef
        ? resourceValue(item.resourceFieldRef, pod, { name: '' }, facts)
        : '';
    files.set(safePath(item.path), { bytes: text(value), mode: item.mode ?? mode, user: item.user ?? user });
  }
  return files;
}

/** A relative path without `..`: the API checks it too, but this one is written to. */
export function safePath(path: string): string {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  if (path.startsWith('/') || parts.length === 0 || parts.includes('..') || parts[0]!.startsWith('..'))
    throw new ConfigError(`invalid path ${JSON.stringify(path)}`);
  return parts.join('/');
}
