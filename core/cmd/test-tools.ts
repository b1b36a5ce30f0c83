import { PintleError, systemExec } from '#base';

/** What each tier needs from Debian: a program and the package that brings it. */
const needs: Record<string, readonly (readonly [program: string, pkg: string])[]> = {
  integration: [['etcd', 'etcd-server']],
  net: [
    ['nft', 'nftables'],
    ['ip', 'iproute2'],
    ['nsenter', 'util-linux'],
    ['conntrack', 'conntrack'],
    ['/usr/lib/cni/bridge', 'containernetworking-plugins'],
  ],
  e2e: [
    ['dockerd', 'docker.io'],
    ['podman', 'podman'],
    ['nft', 'nftables'],
    ['ip', 'iproute2'],
    ['busybox', 'busybox-static'],
    ['curl', 'curl'],
  ],
};

const present = (program: string): boolean =>
  (program.startsWith('/')
    ? require('node:fs').existsSync(program)
    : Bun.which(program, { PATH: `${process.env['PATH']}:/usr/sbin:/sbin` }) !== null) as boolean;

/** Installs what the tiers need, when allowed and able; else says what will be skipped. */
export async function prepareTestTools(allowed: boolean, tiers: readonly string[]): Promise<void> {
  const missing = [
    ...new Set(
      tiers
        .flatMap((tier) => needs[tier] ?? [])
        .filter(([program]) => !present(program))
        .map(([, pkg]) => pkg),
    ),
  ];
  if (missing.length === 0) return;
  const root = process.getuid?.() === 0;
  if (!allowed || !root || !present('/usr/bin/apt-get')) {
    process.stdout.write(
      `missing packages: ${missing.join(' ')}; tests that need them are skipped (as root, --yes installs them)\n`,
    );
    return;
  }
  process.stdout.write(`installing ${missing.join(' ')}\n`);
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  await systemExec.run(['apt-get', 'update'], { env, timeoutMs: 300_000 });
  const result = await systemExec.run(['apt-get', 'install', '-y', '--no-install-recommends', ...missing], {
    env,
    timeoutMs: 900_000,
  });
  if (result.code !== 0)
    throw new PintleError(
      'INSTALL_FAILED',
      `apt-get could not install ${missing.join(' ')}: ${result.stderr.trim().split('\n').at(-1)}`,
      'install them by hand and run the tests again',
    );
}
