import type { Machine } from './machine.ts';

export interface Check {
  readonly name: string;
  /** `missing`: `up` goes on with less. `bad`: `up` cannot go on. */
  readonly state: 'ok' | 'missing' | 'bad';
  readonly detail: string;
  /** Commands or a sentence that mend it. */
  readonly fix?: string;
}

const diskBytesMin = 512 * 2 ** 20; // a store, logs and a few images

/** Judges a machine. Pure. */
export function checksOf(machine: Machine): Check[] {
  const install = (names: string) =>
    machine.aptSystem ? `apt-get install -y ${names}` : `install ${names} with your package manager`;
  return [
    machine.linux
      ? {
          name: 'system',
          state: 'ok',
          detail: machine.root
            ? 'Linux, as root'
            : 'Linux, without root: process runtime, userspace proxy, addresses from 127.0.0.0/8',
        }
      : { name: 'system', state: 'bad', detail: 'not Linux', fix: 'run Pintle in a Linux virtual machine' },
    engineCheck(machine, install),
    {
      ...toolCheck('nft', machine.nft === 'works', 'service rules in the kernel', install('nftables')),
      ...(machine.nft === 'refused'
        ? { detail: 'installed, but the kernel or missing rights refuse it: the userspace proxy is used' }
        : {}),
    },
    toolCheck('ip', machine.ip !== undefined, 'bridges and links for pods', install('iproute2')),
    toolCheck('nsenter', machine.nsenter !== undefined, 'work inside the namespaces of pods', install('util-linux')),
    toolCheck(
      'conntrack',
      machine.conntrack !== undefined,
      'forgets UDP flows to removed endpoints',
      install('conntrack'),
    ),
    machine.cgroup === 'none'
      ? {
          name: 'cgroup',
          state: 'missing',
          detail: 'no cgroups: limits of containers have no effect',
          fix: 'mount cgroup2 at /sys/fs/cgroup',
        }
      : { name: 'cgroup', state: 'ok', detail: `cgroup ${machine.cgroup}` },
    kubectlCheck(machine),
    machine.canLowerOomScore || !machine.root
      ? {
          name: 'oom-score',
          state: 'ok',
          detail: machine.root ? 'protection of important containers works' : 'not used without root',
        }
      : {
          name: 'oom-score',
          state: 'missing',
          detail:
            'CAP_SYS_RESOURCE is missing: containers cannot be protected from the out-of-memory killer; negative scores are raised to 0',
        },
    ...(machine.firewalls ?? []).map(
      ({ name, mend }): Check => ({
        name,
        state: 'missing',
        detail: `${name} is active and may drop what pods send and receive`,
        fix: mend.join(' && '),
      }),
    ),
    machine.freeBytes >= diskBytesMin
      ? { name: 'disk', state: 'ok', detail: `${Math.floor(machine.freeBytes / 2 ** 30)} GiB free` }
      : {
          name: 'disk',
          state: 'bad',
          detail: `${Math.floor(machine.freeBytes / 2 ** 20)} MiB free at the home folder, 512 are needed`,
          fix: 'free some space, or name another folder with --home',
        },
  ];
}

function engineCheck(machine: Machine, install: (names: string) => string): Check {
  if (machine.engine)
    return {
      name: 'engine',
      state: 'ok',
      detail: `${machine.engine.product} ${machine.engine.version} at ${machine.engine.socket}`,
    };
  if (!machine.root)
    return {
      name: 'engine',
      state: 'missing',
      detail: 'no container engine answers: pods run as plain processes',
      fix: 'start Docker or Podman, or go on with the process runtime',
    };
  if (!machine.dockerd)
    return { name: 'engine', state: 'missing', detail: 'no container engine is installed', fix: install('docker.io') };
  if (machine.serviceManager)
    return {
      name: 'engine',
      state: 'missing',
      detail: 'Docker is installed but not running',
      fix: 'systemctl start docker',
    };
  return {
    name: 'engine',
    state: 'ok',
    detail: `${machine.dockerd} is installed and no engine runs: the cluster starts a private one under its home folder`,
  };
}

const toolCheck = (name: string, present: boolean, purpose: string, fix: string): Check =>
  present
    ? { name, state: 'ok', detail: purpose }
    : { name, state: 'missing', detail: `not found; needed for: ${purpose}`, fix };

function kubectlCheck(machine: Machine): Check {
  const found = machine.kubectl;
  const fix = './pintle up --yes puts a newer one into the home folder';
  if (!found) return { name: 'kubectl', state: 'missing', detail: 'not on PATH', fix };
  if (found.minor < 31)
    return {
      name: 'kubectl',
      state: 'missing',
      detail: `${found.path} is ${found.text}: exec, attach, cp and port-forward need 1.31 or newer (WebSocket)`,
      fix,
    };
  return { name: 'kubectl', state: 'ok', detail: `${found.text} at ${found.path}` };
}
