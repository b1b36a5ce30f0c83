import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Exec, type Log, ownArch, ownProgram, systemExec } from '#base';
import { DockerEngine } from '../../kubelet/runtimes/docker-engine.ts';
import { ensurePauseImage, importImage, inspectImage } from '../../kubelet/runtimes/docker-images.ts';
import { imageFolder, type ProcessImage } from '../../kubelet/runtimes/process-images.ts';
import { type TarEntry, tar } from '../../kubelet/runtimes/tar.ts';
import { findTools, librariesOf, type Tools } from './host-files.ts';

export const demoImage = 'pintle/demo:local';
export interface ImageOptions {
  /** The cluster's home: the tree for the process runtime goes to `HOME/images`. */
  readonly home: string;
  /** The engine to put it into as well. */
  readonly docker?: { readonly socketPath: string };
  readonly log: Log;
  readonly exec?: Exec;
}
const serverPath = '/srv/demo-server.ts';
const fetchPath = '/srv/demo-fetch.ts';
const source = (name: string) => Bun.file(new URL(name, import.meta.url));

/** Makes `pintle/demo:local` from this machine's files: a tree for the process runtime and, when an engine is given, an image in it. */
export async function makeDemoImage(options: ImageOptions): Promise<{ names: string[] }> {
  const exec = options.exec ?? systemExec;
  const tools = await findTools(exec);
  await makeTree(options.home, tools);
  options.log.info('image tree made', { image: demoImage, folder: imageFolder(options.home, demoImage) });
  if (options.docker) {
    const engine = new DockerEngine(options.docker.socketPath);
    const [repo, tag] = demoImage.split(':');
    const former = await inspectImage(engine, demoImage);
    await importImage(engine, repo!, tag!, tar(await imageEntries(exec, tools)), [
      `ENTRYPOINT ["/usr/local/bin/bun","--smol","${serverPath}"]`,
      'ENV PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin',
      'ENV BUN_RUNTIME_TRANSPILER_CACHE_PATH=0',
      'ENV BUN_BE_BUN=1',
      'EXPOSE 8080',
      'WORKDIR /',
    ]);
    const made = await inspectImage(engine, demoImage);
    if (former && former.id !== made?.id) await engine.call('DELETE', `/images/${former.id}`).catch(() => {}); // containers may still use it
    options.log.info('image imported', { image: demoImage });
  }
  return { names: [demoImage] };
}

/** Makes `pintle/pause:local` in the engine (the docker runtime also does it by itself when it is missing). */
export async function makePauseImage(options: ImageOptions): Promise<{ names: string[] }> {
  if (!options.docker) return { names: [] }; // the process runtime has no pause container
  await ensurePauseImage(new DockerEngine(options.docker.socketPath), ownArch());
  return { names: ['pintle/pause:local'] };
}

async function imageEntries(exec: Exec, tools: Tools): Promise<TarEntry[]> {
  const files = new Map<string, TarEntry>();
  const put = (entry: TarEntry) => files.set(entry.name, entry);
  const program = (name: string, path: string) => put({ type: 'file', name, mode: 0o755, bytes: Bun.file(path) });
  const text = (name: string, content: string, mode = 0o644) =>
    put({ type: 'file', name, mode, bytes: new TextEncoder().encode(content) });
  for (const name of [
    'bin',
    'etc',
    'lib',
    'lib64',
    'srv',
    'proc',
    'sys',
    'dev',
    'root',
    'var',
    'var/run',
    'usr',
    'usr/bin',
    'usr/local',
    'usr/local/bin',
  ])
    put({ type: 'folder', name });
  put({ type: 'folder', name: 'tmp', mode: 0o1777 });
  program('usr/local/bin/bun', ownProgram());
  for (const [name, path] of tools.programs) program(`bin/${name}`, path);
  for (const name of tools.applets) put({ type: 'link', name: `bin/${name}`, target: 'busybox' });
  for (const path of [ownProgram(), ...tools.programs.values()])
    for (const library of await librariesOf(exec, path)) program(library.slice(1), library);
  put({ type: 'file', name: serverPath.slice(1), bytes: source('./demo-server.ts') });
  put({ type: 'file', name: fetchPath.slice(1), bytes: source('./demo-fetch.ts') });
  for (const name of ['wget', 'curl'])
    text(`bin/${name}`, `#!/bin/sh\nexec /usr/local/bin/bun --smol ${fetchPath} "$@"\n`, 0o755);
  text('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n');
  text('etc/group', 'root:x:0:\nnogroup:x:65534:\n');
  text('etc/nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files dns\n');
  return [...files.values()].sort((left, right) => depth(left) - depth(right)); // folders before what is in them
}
const depth = (entry: TarEntry) => (entry.type === 'folder' ? 0 : 1000) + entry.name.split('/').length;

/** Links to the host's programs: the process runtime runs them in place. */
async function makeTree(home: string, tools: Tools): Promise<void> {
  const folder = imageFolder(home, demoImage);
  rmSync(folder, { recursive: true, force: true });
  const root = join(folder, 'root');
  mkdirSync(join(root, 'bin'), { recursive: true });
  mkdirSync(join(root, 'srv'), { recursive: true });
  symlinkSync(ownProgram(), join(root, 'bin/bun'));
  for (const [name, path] of tools.programs) symlinkSync(path, join(root, 'bin', name));
  for (const name of tools.applets) symlinkSync(tools.programs.get('busybox')!, join(root, 'bin', name));
  await Bun.write(join(root, serverPath), source('./demo-server.ts'));
  await Bun.write(join(root, fetchPath), source('./demo-fetch.ts'));
  for (const name of ['wget', 'curl'])
    writeFileSync(join(root, 'bin', name), `#!/bin/sh\nexec bun --smol "\${0%/*}/..${fetchPath}" "$@"\n`, {
      mode: 0o755,
    });
  const image: ProcessImage = {
    names: [demoImage],
    entrypoint: ['bin/bun', '--smol', '{root}/srv/demo-server.ts'],
    command: [],
    env: { BUN_RUNTIME_TRANSPILER_CACHE_PATH: '0', BUN_BE_BUN: '1' },
  };
  await Bun.write(join(folder, 'image.json'), `${JSON.stringify(image, null, 2)}\n`); // last: without it the tree is no image
}
