import type { Exec, Log } from '#base';
import type { Route } from '../service-proxy.ts';

/** One tracked UDP flow: where the client sent to, and who answers. */
export interface Flow {
  readonly client: string;
  readonly clientPort: number;
  readonly to: string;
  readonly toPort: number;
  readonly backend: string;
  readonly backendPort: number;
}

/** Lines of `conntrack -L -p udp`. The second src and sport are the answering side. */
export function parseFlows(text: string): Flow[] {
  const flows: Flow[] = [];
  for (const line of text.split('\n')) {
    const values = (name: string) => [...line.matchAll(new RegExp(`\\b${name}=(\\S+)`, 'g'))].map((match) => match[1]!);
    const [src, dst, sport, dport] = ['src', 'dst', 'sport', 'dport'].map(values);
    if (src?.[1] === undefined || sport?.[1] === undefined || dst?.[0] === undefined || dport?.[0] === undefined)
      continue;
    flows.push({
      client: src[0]!,
      clientPort: Number(sport[0]),
      to: dst[0],
      toPort: Number(dport[0]),
      backend: src[1],
      backendPort: Number(sport[1]),
    });
  }
  return flows;
}

/**
 * UDP has no end of connection: a client that goes on sending keeps its flow alive, and with it the old translation.
 * Stale is a flow to one of our addresses that is not answered by a backend of now (one that was never translated included).
 */
export function staleFlows(flows: readonly Flow[], routes: Iterable<Route>): Flow[] {
  const byAddress = new Map<string, Route>();
  const byPort = new Map<number, Route>();
  for (const route of routes) {
    if (route.protocol !== 'udp') continue;
    byAddress.set(`${route.virtual.ip} ${route.virtual.port}`, route);
    if (route.nodePort !== undefined) byPort.set(route.nodePort, route);
  }
  return flows.filter((flow) => {
    const direct = byAddress.get(`${flow.to} ${flow.toPort}`);
    // A node port is judged only when it was translated: the number alone may belong to somebody else's traffic.
    const route = direct ?? (flow.backend === flow.to ? undefined : byPort.get(flow.toPort));
    return (
      route !== undefined &&
      !(direct ? route.backends : (route.nodePortBackends ?? route.backends)).some(
        (backend) => backend.ip === flow.backend && backend.port === flow.backendPort,
      )
    );
  });
}

const listTimeoutMs = 5_000;
const deletionsMax = 1_000; // per change; what is left is found at the next one

export function createConntrack(options: { readonly exec: Exec; readonly netns?: string; readonly log: Log }): {
  /** Does nothing where `conntrack` is not installed (said once in the log). */
  forgetStale(routes: Iterable<Route>): Promise<void>;
} {
  const { exec, netns, log } = options;
  let missing = false;
  return {
    async forgetStale(routes) {
      if (missing) return;
      const listed = await exec.run(['conntrack', '-L', '-p', 'udp'], { netns, timeoutMs: listTimeoutMs });
      if (listed.code === 127) {
        missing = true;
        log.warn('conntrack is not installed: UDP clients may keep a removed backend until their flow expires');
        return;
      }
      for (const flow of staleFlows(parseFlows(listed.stdout), routes).slice(0, deletionsMax)) {
        const from = ['--orig-src', flow.client, '--orig-port-src', String(flow.clientPort)];
        const to = ['--orig-dst', flow.to, '--orig-port-dst', String(flow.toPort)];
        await exec.run(['conntrack', '-D', '-p', 'udp', ...from, ...to], { netns, timeoutMs: listTimeoutMs });
      }
    },
  };
}
