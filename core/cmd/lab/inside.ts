import { readFileSync } from 'node:fs';
import { PintleError, systemExec } from '#base';
import { netnsPath } from '../../../net/netns/netns.ts';
import type { UnderlayHost } from '../../../net/underlay/plan.ts';
import { selfArgv } from '../components.ts';
import { privateEngine } from '../engine.ts';
import type { Lab } from './record.ts';

/**
 * In a host's network namespace; process table, mounts and cgroups are the machine's. Not by `ip netns exec`, which mounts
 * /sys anew: engines do not find their cgroups then.
 */
export const insideArgv = (host: UnderlayHost, argv: readonly string[]): string[] => [
  'nsenter',
  `--net=${netnsPath(host.netns)}`,
  '--',
  ...argv,
];

/** What programs of a host look at: its own engine, its own home, and the cluster. */
export function insideEnv(lab: Lab, host: UnderlayHost): Record<string, string> {
  const home = lab.hostHome(host);
  return {
    DOCKER_HOST: `unix://${privateEngine(home).socket}`,
    PINTLE_HOME: home.folder,
    KUBECONFIG: lab.home.kubeconfig,
  };
}

const commandLimitMs = 180_000;

/** `./pintle WORDS --home …` on a host. Resolves to what it printed; throws what it refused, with the host's name. */
export async function pintleInside(lab: Lab, host: UnderlayHost, ...words: string[]): Promise<string> {
  const result = await systemExec.run(insideArgv(host, selfArgv(lab.hostHome(host), ...words)), {
    env: insideEnv(lab, host),
    timeoutMs: commandLimitMs,
  });
  if (result.code === 0) return result.stdout;
  const [, message, code, next] = /^pintle: (.*) \[([A-Z_]+)\]\n {2}next: (.*)/ms.exec(result.stderr) ?? [];
  throw new PintleError(
    'LAB_HOST_FAILED',
    `${host.name}: ${message ? `${message} [${code}]` : result.stderr.trim().split('\n').slice(-3).join(' ')}`,
    next?.trim() ?? `see ./pintle logs --home ${lab.hostHome(host).folder}`,
  );
}

const askLimitMs = 5_000;

/** A call of the API as the admin, from the machine. Undefined while nobody answers. */
export async function askLab(lab: Lab, path: string, init: { method?: string } = {}): Promise<Response | undefined> {
  const home = lab.hostHome(lab.first);
  try {
    return await fetch(`${lab.serverUrl}${path}`, {
      ...init,
      headers: { authorization: `Bearer ${home.readFile('credentials/admin.token')?.trim()}` },
      tls: { ca: readFileSync(home.path('pki', 'ca.crt'), 'utf8') },
      signal: AbortSignal.timeout(askLimitMs),
    });
  } catch {
    return undefined;
  }
}
