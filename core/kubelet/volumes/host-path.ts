import type { HostPathVolumeSource } from '#api';
import { type Files, systemFiles } from '#base';

/** Checks (or makes) what the type asks for. Throws with the text that the pod's event shows. */
export async function prepareHostPath(source: HostPathVolumeSource, files: Files = systemFiles): Promise<string> {
  const { mkdir, stat, writeFile } = files;
  const { path, type = '' } = source;
  const state = await stat(path).catch(() => undefined);
  const fail = (noun: string) => new Error(`hostPath type check failed: ${path} is not a ${noun}`);
  switch (type) {
    case '':
      if (!state) await mkdir(path, { recursive: true });
      return path;
    case 'DirectoryOrCreate':
      if (!state) await mkdir(path, { recursive: true, mode: 0o755 });
      else if (!state.isDirectory()) throw fail('directory');
      return path;
    case 'FileOrCreate':
      if (!state) await writeFile(path, '', { mode: 0o644 });
      else if (!state.isFile()) throw fail('file');
      return path;
    case 'Directory':
      if (!state?.isDirectory()) throw fail('directory');
      return path;
    case 'File':
      if (!state?.isFile()) throw fail('file');
      return path;
    case 'Socket':
      if (!state?.isSocket()) throw fail('socket file');
      return path;
    case 'CharDevice':
      if (!state?.isCharacterDevice()) throw fail('character device');
      return path;
    case 'BlockDevice':
      if (!state?.isBlockDevice()) throw fail('block device');
      return path;
  }
  throw new Error(`${type} is an invalid volume type`);
}
