import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type Exec, PintleError } from '#base';
import type { Machine } from './doctor/machine.ts';
import type { Home } from './home.ts';
import type { Progress } from './progress.ts';

/** Debian packages that a cluster with real containers wants and this machine lacks. Pure. */
export function packagesMissing(machine: Machine, runtime: string | undefined): string[] {
  const wanted: string[] = [];
  if (runtime !== 'process' && !machine.engine && !machine.dockerd) wanted.push('docker.io');
  if (machine.nft === 'absent') wanted.push('nftables');
  if (!machine.ip) wanted.push('iproute2');
  if (!machine.nsenter) wanted.push('util-linux');
  if (!machine.conntrack) wanted.push('conntrack');
  return wanted;
}

export async function installPackages(exec: Exec, packages: readonly string[], progress: Progress): Promise<void> {
  if (packages.length === 0) return;
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  await progress.step(`installing ${packages.join(' ')}`, async () => {
    let result = await exec.run(['apt-get', 'install', '-y', '--no-install-recommends', ...packages], {
      env,
      timeoutMs: 600_000,
    });
    if (result.code !== 0) {
      await exec.run(['apt-get', 'update'], { env, timeoutMs: 300_000 });
      result = await exec.run(['apt-get', 'install', '-y', '--no-install-recommends', ...packages], {
        env,
        timeoutMs: 600_000,
      });
    }
    if (result.code !== 0)
      throw new PintleError(
        'INSTALL_FAILED',
        `apt-get could not install ${packages.join(' ')}: ${lastLine(result.stderr)}`,
        `run it by hand: apt-get update && apt-get install -y ${packages.join(' ')}`,
      );
  });
}

const lastLine = (text: string): string => text.trim().split('\n').at(-1) ?? '';

/** The mirror that this system already uses, so that no other host is ever asked. */
export function debianMirror(texts: readonly string[]): string | undefined {
  for (const text of texts) {
    const match =
      /^deb\s+(?:\[[^\]]*\]\s+)?(https?:\/\/\S+debian\/?)\s/m.exec(text) ??
      /^URIs:\s*(https?:\/\/\S+debian\/?)(?:\s|$)/m.exec(text);
    if (match && !match[1]!.includes('security')) return match[1]!.replace(/\/$/, '');
  }
  return undefined;
}

/** Puts kubectl (Debian's newest package) into HOME/bin without touching the system's package lists. */
export async function installKubectl(exec: Exec, home: Home): Promise<string> {
  const sources = ['/etc/apt/sources.list', ...listOf('/etc/apt/sources.list.d')]
    .filter(existsSync)
    .map((path) => readFileSync(path, 'utf8'));
  const mirror = debianMirror(sources);
  const next = 'put a kubectl of 1.31 or newer on PATH';
  if (!mirror || !existsSync('/usr/bin/apt-get'))
    throw new PintleError(
      'KUBECTL_UNAVAILABLE',
      'no kubectl of 1.31 or newer is on PATH, and this is no Debian system to take the package from',
      next,
    );
  const work = home.path('run', 'apt');
  try {
    for (const part of ['lists/partial', 'cache/archives/partial', 'etc', 'tree'])
      mkdirSync(join(work, part), { recursive: true });
    writeFileSync(join(work, 'etc/sources.list'), `deb ${mirror} sid main\n`);
    writeFileSync(join(work, 'status'), '');
    const options = [
      `Dir::Etc::SourceList=${work}/etc/sources.list`,
      'Dir::Etc::SourceParts=/dev/null',
      `Dir::State::Lists=${work}/lists`,
      `Dir::State::Status=${work}/status`,
      `Dir::Cache=${work}/cache`,
      'APT::Sandbox::User=',
      'Acquire::Languages=none',
    ].flatMap((option) => ['-o', option]);
    const update = await exec.run(['apt-get', ...options, 'update'], { timeoutMs: 300_000 });
    if (update.code !== 0)
      throw new PintleError(
        'KUBECTL_UNAVAILABLE',
        `the package list of Debian sid could not be read: ${lastLine(update.stderr)}`,
        next,
      );
    const uris = await exec.run(['apt-get', ...options, 'download', '--print-uris', 'kubectl'], { timeoutMs: 60_000 });
    const [, url, file] = /^'([^']+)'\s+(\S+)/m.exec(uris.stdout) ?? [];
    if (!url || !file)
      throw new PintleError(
        'KUBECTL_UNAVAILABLE',
        `Debian sid offers no kubectl package: ${lastLine(uris.stderr)}`,
        next,
      );
    const fetched = await fetch(url);
    if (!fetched.ok)
      throw new PintleError(
        'KUBECTL_UNAVAILABLE',
        `the kubectl package could not be fetched: HTTP ${fetched.status}`,
        next,
      );
    writeFileSync(join(work, 'kubectl.deb'), new Uint8Array(await fetched.arrayBuffer()));
    const unpack = await exec.run(['dpkg-deb', '-x', join(work, 'kubectl.deb'), join(work, 'tree')], {
      timeoutMs: 60_000,
    });
    if (unpack.code !== 0)
      throw new PintleError(
        'KUBECTL_UNAVAILABLE',
        `the kubectl package could not be unpacked: ${lastLine(unpack.stderr)}`,
        next,
      );
    const target = home.path('bin', 'kubectl');
    copyFileSync(join(work, 'tree/usr/bin/kubectl'), target);
    chmodSync(target, 0o755);
    return target;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

const listOf = (folder: string): string[] =>
  existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
