import { describe, expect, test } from 'bun:test';
import { PintleError } from '#base';
import { decide } from './decide.ts';
import { checksOf } from './doctor/checks.ts';
import type { Machine } from './doctor/machine.ts';
import { nodeNameOf } from './first-start.ts';
import { debianMirror, packagesMissing } from './install.ts';

const machine: Machine = {
  linux: true,
  root: true,
  aptSystem: true,
  serviceManager: false,
  engine: { socket: '/var/run/docker.sock', product: 'Docker', version: '20.10' },
  dockerd: '/usr/sbin/dockerd',
  nft: 'works',
  ip: '/sbin/ip',
  nsenter: '/usr/bin/nsenter',
  conntrack: '/usr/sbin/conntrack',
  cgroup: 'v2',
  kubectl: { path: '/usr/bin/kubectl', minor: 32, text: 'v1.32.4' },
  canLowerOomScore: true,
  freeBytes: 10 * 2 ** 30,
};
const brief = (decision: ReturnType<typeof decide>) =>
  `${decision.runtime} ${decision.proxy}${decision.engine?.private ? ' private' : ''}${decision.loopback ? ' loopback' : ''}`;

describe('decide', () => {
  const rows: [string, Partial<Machine>, 'auto' | 'docker' | 'process', string][] = [
    ['everything there', {}, 'auto', 'docker nftables'],
    ['engine installed, none runs, no service manager', { engine: undefined }, 'auto', 'docker nftables private'],
    [
      'engine installed but the service manager owns it',
      { engine: undefined, serviceManager: true },
      'auto',
      'process userspace loopback',
    ],
    [
      'DOCKER_HOST names the home’s own engine, beside one of the machine',
      { engineNamed: '/h/engine/docker.sock', serviceManager: true },
      'auto',
      'docker nftables private',
    ],
    [
      'it does not answer yet',
      { engine: undefined, engineNamed: '/h/engine/docker.sock', serviceManager: true },
      'auto',
      'docker nftables private',
    ],
    ['DOCKER_HOST names another', { engineNamed: '/run/other.sock' }, 'auto', 'docker nftables'],
    ['no engine at all', { engine: undefined, dockerd: undefined }, 'auto', 'process userspace loopback'],
    ['without root', { root: false, nft: 'refused' }, 'auto', 'process userspace loopback'],
    ['nft refused', { nft: 'refused' }, 'auto', 'docker userspace'],
    ['process as asked', {}, 'process', 'process userspace loopback'],
  ];
  for (const [name, change, runtime, wanted] of rows)
    test(name, () => expect(brief(decide({ ...machine, ...change }, runtime, '/h/engine/docker.sock'))).toBe(wanted));

  test('docker asked for and not to be had is an error with a next step', () => {
    expect(() => decide({ ...machine, engine: undefined, dockerd: undefined }, 'docker', '/x')).toThrow(PintleError);
  });
});

test('doctor judges each lack', () => {
  const states = (change: Partial<Machine>) =>
    checksOf({ ...machine, ...change })
      .filter((check) => check.state !== 'ok')
      .map((check) => `${check.name} ${check.state}`);
  expect(states({})).toEqual([]);
  expect(states({ freeBytes: 1000 })).toEqual(['disk bad']);
  expect(states({ kubectl: { path: '/k', minor: 20, text: 'v1.20.2' }, nft: 'absent' })).toEqual([
    'nft missing',
    'kubectl missing',
  ]);
  expect(states({ firewalls: [{ name: 'ufw', mend: ['ufw allow from 10.244.0.0/16'] }] })).toEqual(['ufw missing']);
  expect(states({ linux: false })).toEqual(['system bad']);
});

test('packages of a bare machine', () => {
  expect(
    packagesMissing({ ...machine, engine: undefined, dockerd: undefined, nft: 'absent', conntrack: undefined }, 'auto'),
  ).toEqual(['docker.io', 'nftables', 'conntrack']);
  expect(packagesMissing({ ...machine, engine: undefined, dockerd: undefined }, 'process')).toEqual([]);
});

test('the Debian mirror comes from the system’s own sources, in both formats', () => {
  expect(debianMirror(['deb http://m.example/debian bookworm main\n'])).toBe('http://m.example/debian');
  expect(debianMirror(['Types: deb\nURIs: https://m.example/debian/\nSuites: trixie\n'])).toBe(
    'https://m.example/debian',
  );
  expect(
    debianMirror(['deb [signed-by=/k] http://m.example/debian-security x main\ndeb http://n.example/debian x main']),
  ).toBe('http://n.example/debian');
  expect(debianMirror([])).toBeUndefined();
});

test('node names', () => {
  expect(nodeNameOf('My_Host.')).toBe('my-host');
  expect(nodeNameOf('---')).toBe('node');
});
