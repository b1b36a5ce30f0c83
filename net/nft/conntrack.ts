import type { Exec, Log } from '#base';
import type { Family } from './ruleset.ts';

/** One tracked flow: where the client sent to, and who answers. */
export interface Flow {
  readonly to: string;
  readonly toPort: number;
  readonly backend: string;
  readonly backendPort: number;
}
/** One port of one service, as far as its flows go. */
export interface Served {
  readonly protocol: string;
  readonly addresses: readonly string[];
  readonly port: number;
  readonly nodePort?: number;
  /** Flows to these go on. */
  readonly backends: readonly { readonly ip: string; readonly port: number }[];
}

/** Lines of `conntrack -L`. The second src and sport are the answering side. */
export function parseFlows(text: string): Flow[] {
  const flows: Flow[] = [];
  for (const line of text.split('\n')) {
    const found: Record<string, string[]> = {};
    for (const [, name, value] of line.matchAll(/\b(src|dst|sport|dport)=(\S+)/g)) (found[name!] ??= []).push(value!);
    const { src = [], dst = [], sport = [], dport = [] } = found;
    if (src.length < 2 || sport.length < 2 || dst[0] === undefined || dport[0] === undefined) continue;
    flows.push({ to: dst[0], toPort: Number(dport[0]), backend: src[1]!, backendPort: Number(sport[1]) });
  }
  return flows;
}

/**
 * UDP has no end of connection: a client that goes on sending keeps its flow alive, and with it the old translation. A TCP
 * client whose backend is gone would wait for its own time-outs. Stale is a flow to one of our addresses that is not
 * answered by a backend of now (one that was never translated included). Each once, however many clients it has.
 */
export function staleFlows(flows: readonly Flow[], services: Iterable<Served>, protocol: string): Flow[] {
  const byAddress = new Map<string, Served>();
  const byPort = new Map<number, Served>();
  for (const service of services) {
    if (service.protocol !== protocol) continue;
    for (const address of service.addresses) byAddress.set(`${address} ${service.port}`, service);
    if (service.nodePort !== undefined) byPort.set(service.nodePort, service);
  }
  const stale = flows.filter((flow) => {
    const direct = byAddress.get(`${flow.to} ${flow.toPort}`);
    // A node port is judged only when it was translated: the number alone may belong to somebody else's traffic.
    const service = direct ?? (flow.backend === flow.to ? undefined : byPort.get(flow.toPort));
    return !!service && !service.backends.some(({ ip, port }) => ip === flow.backend && port === flow.backendPort);
  });
  return [...new Map(stale.map((flow) => [Object.values(flow).join(' '), flow])).values()];
}

const listTimeoutMs = 5_000;
const deletionsMax = 1_000; // per change; what is left is found at the next one

export interface Conntrack {
  /** Ends flows that go to a backend no more. Does nothing where `conntrack` is not installed (said once in the log). */
  forgetStale(services: Iterable<Served>, family: Family, protocol: 'tcp' | 'udp'): Promise<void>;
}
export function createConntrack(options: {
  readonly exec: Exec;
  readonly netns?: string;
  readonly log: Log;
}): Conntrack {
  const { exec, netns, log } = options;
  let missing = false;
  return {
    async forgetStale(services, family, protocol) {
      if (missing) return;
      const of = ['-f', family === 4 ? 'ipv4' : 'ipv6', '-p', protocol];
      const listed = await exec.run(['conntrack', '-L', ...of], { netns, timeoutMs: listTimeoutMs });
      if (listed.code === 127) {
        missing = true;
        log.warn('conntrack is not installed: clients may keep a removed backend until their flow expires');
        return;
      }
      for (const flow of staleFlows(parseFlows(listed.stdout), services, protocol).slice(0, deletionsMax)) {
        const to = ['--orig-dst', flow.to, '--orig-port-dst', String(flow.toPort)];
        const from = ['--reply-src', flow.backend, '--reply-port-src', String(flow.backendPort)];
        await exec.run(['conntrack', '-D', ...of, ...to, ...from], { netns, timeoutMs: listTimeoutMs });
      }
    },
  };
}
