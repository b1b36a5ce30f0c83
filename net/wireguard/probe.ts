import { existsSync } from 'node:fs';
import { type Exec, PintleError } from '#base';

/** What makes WireGuard devices here. */
export interface Implementation {
  readonly type: 'kernel' | 'wireguard-go';
  /** One sentence for people. */
  readonly why: string;
}
export interface ProbeFacts {
  /** The answer of `ip link add NAME type wireguard`; 0 when it made one. */
  readonly kernelCode: number;
  readonly kernelComplaint: string;
  readonly hasTools: boolean;
  readonly hasGo: boolean;
  readonly hasTun: boolean;
}

/** Which of the two, or what is missing and what to do about it. Pure. */
export function chooseImplementation(facts: ProbeFacts): Implementation {
  if (!facts.hasTools)
    throw new PintleError(
      'WIREGUARD_TOOLS_MISSING',
      'the program wg is not on this host: the overlay cannot set its keys',
      'install it: apt-get install wireguard-tools',
    );
  if (facts.kernelCode === 0) return { type: 'kernel', why: 'the kernel of this host knows WireGuard' };
  const complaint = facts.kernelComplaint.replace(/^(Error|RTNETLINK answers): /, '').replace(/\.$/, '');
  const lacks = `the kernel makes no WireGuard device (${complaint || 'no reason given'})`;
  if (/not permitted/i.test(complaint))
    throw new PintleError(
      'WIREGUARD_FORBIDDEN',
      `${lacks}: devices need root`,
      'start this as root, with CAP_NET_ADMIN',
    );
  if (!facts.hasGo)
    throw new PintleError(
      'WIREGUARD_MISSING',
      `${lacks}, and the program wireguard-go is not on this host`,
      'load the module (modprobe wireguard), or install it: apt-get install wireguard-go; or choose the backend vxlan or host-gw',
    );
  if (!facts.hasTun)
    throw new PintleError(
      'TUN_MISSING',
      `${lacks}, and wireguard-go has no /dev/net/tun here`,
      'give this host a tun device (modprobe tun; in a container: --device /dev/net/tun), or choose the backend vxlan or host-gw',
    );
  return { type: 'wireguard-go', why: `${lacks}; wireguard-go is on this host and does` };
}

/** Asks the machine. `name`: of a device that is not there; it may be made for this and is removed at once. */
export async function probeWireguard(exec: Exec, name: string, tunPath = '/dev/net/tun'): Promise<Implementation> {
  const [kernel, tools, go] = await Promise.all([
    exec.run(['ip', 'link', 'add', name, 'type', 'wireguard']),
    exec.run(['wg', '--version']),
    exec.run(['wireguard-go', '--version']),
  ]);
  if (kernel.code === 0) await exec.run(['ip', 'link', 'delete', 'dev', name]);
  return chooseImplementation({
    kernelCode: kernel.code,
    kernelComplaint: kernel.stderr.trim().split('\n')[0] ?? '',
    hasTools: tools.code === 0,
    hasGo: go.code === 0,
    hasTun: existsSync(tunPath),
  });
}
