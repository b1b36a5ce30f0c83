import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf, PintleError, systemExec } from '#base';
import { findKubectl } from './doctor/machine.ts';
import { Home } from './home.ts';
import { installKubectl } from './install.ts';

/** What each tier needs from Debian: a program and the package that brings it. */
const needs: Record<string, readonly (readonly [program: string, pkg: string])[]> = {
  integration: [
    ['etcd', 'etcd-server'],
    ['dig', 'bind9-dnsutils'],
  ],
  net: [
    ['nft', 'nftables'],
    ['ip', 'iproute2'],
    ['nsenter', 'util-linux'],
    ['conntrack', 'conntrack'],
    ['iptables', 'iptables'],
    ['mkfs.ext4', 'e2fsprogs'],
    ['fsfreeze', 'util-linux'],
    ['/usr/lib/cni/bridge', 'containernetworking-plugins'],
  ],
  e2e: [
    ['dockerd', 'docker.io'],
    ['podman', 'podman'],
    ['nft', 'nftables'],
    ['ip', 'iproute2'],
    ['busybox', 'busybox-static'],
    ['curl', 'curl'],
    ['etcd', 'etcd-server'],
    ['openssl', 'openssl'],
    ['dig', 'bind9-dnsutils'],
    ['prometheus', 'prometheus'],
  ],
};

const present = (program: string): boolean =>
  program.startsWith('/')
    ? existsSync(program)
    : Bun.which(program, { PATH: `${process.env['PATH']}:/usr/sbin:/sbin` }) !== null;

/** Installs what the tiers need, when allowed and able; else says what will be skipped. */
export async function prepareTestTools(allowed: boolean, tiers: readonly string[]): Promise<void> {
  const missing = packagesMissing(tiers, present);
  const able = allowed && process.getuid?.() === 0 && present('/usr/bin/apt-get');
  if (missing.length > 0 && !able)
    process.stdout.write(
      `missing packages: ${missing.join(' ')}; tests that need them are skipped (as root, --yes installs them)\n`,
    );
  else if (missing.length > 0) await install(missing);
  if (tiers.includes('e2e')) await prepareKubectl(able);
}

/** Debian packages whose programs the tiers need and that are not there. Pure. */
export function packagesMissing(tiers: readonly string[], has: (program: string) => boolean): string[] {
  const absent = tiers.flatMap((tier) => needs[tier] ?? []).filter(([program]) => !has(program));
  return [...new Set(absent.map(([, name]) => name))];
}

async function install(packages: readonly string[]): Promise<void> {
  process.stdout.write(`installing ${packages.join(' ')}\n`);
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  await systemExec.run(['apt-get', 'update'], { env, timeoutMs: 300_000 });
  const result = await systemExec.run(['apt-get', 'install', '-y', '--no-install-recommends', ...packages], {
    env,
    timeoutMs: 900_000,
  });
  if (result.code !== 0)
    throw new PintleError(
      'INSTALL_FAILED',
      `apt-get could not install ${packages.join(' ')}: ${result.stderr.trim().split('\n').at(-1)}`,
      'install them by hand and run the tests again',
    );
}

/** Stock kubectl on the PATH of every test: Debian's stable releases have none that is new enough, so it gets a folder here. */
async function prepareKubectl(able: boolean): Promise<void> {
  const tools = new Home(join(import.meta.dir, '../../.bun/test-tools'));
  const found = await findKubectl(systemExec, tools.path('bin', 'kubectl'));
  if (found && found.minor >= 31 && !found.path.startsWith(tools.folder)) return;
  try {
    if (!found || found.minor < 31) {
      if (!able) return void process.stdout.write('missing kubectl 1.31 or newer: tests that need it are skipped\n');
      process.stdout.write('installing kubectl for the tests\n');
      mkdirSync(tools.path('bin'), { recursive: true });
      await installKubectl(systemExec, tools);
    }
    process.env['PATH'] = `${tools.path('bin')}:${process.env['PATH']}`;
  } catch (error) {
    process.stdout.write(`no kubectl: ${messageOf(error)}\n`); // tests that need it say that they are skipped, or fail
  }
}
