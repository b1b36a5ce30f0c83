import type { Exec } from '#base';
import type { LimitedPlace, SourceLimit } from '../source-limit.ts';
import { runNft } from './run.ts';

export interface SourceLimitOptions {
  readonly tableName: string;
  /** Who is limited (CIDRs): the host's own programs are not told apart by their address. */
  readonly sources: readonly string[];
  readonly perSecondMax: number;
  readonly burstMax: number;
  readonly exec: Exec;
  readonly netns?: string;
}
const sendersMax = 16_384; // above it the newest are not counted
const forgottenSeconds = 10;

export function createSourceLimit(options: SourceLimitOptions): SourceLimit {
  const { tableName, exec, netns } = options;
  let held = '';
  const apply = async (stdin: string): Promise<void> => void (await runNft(exec, ['-f', '-'], { stdin, netns }));
  return {
    async hold(places) {
      const text = limitText(options, places);
      if (text === held) return;
      await apply(text);
      held = text;
    },
    async purge() {
      held = '';
      await apply(removal(tableName));
    },
  };
}

const removal = (name: string): string => `add table inet ${name}\ndelete table inet ${name}\n`;

/** For `nft -f`: the whole table anew, in one step. Pure. */
export function limitText(
  { tableName, sources, perSecondMax, burstMax }: Omit<SourceLimitOptions, 'exec' | 'netns'>,
  places: readonly LimitedPlace[],
): string {
  if (places.length === 0) return removal(tableName);
  const set = (six: boolean) =>
    `  set senders${six ? 6 : 4} { type ${six ? 'ipv6' : 'ipv4'}_addr; size ${sendersMax}; flags dynamic, timeout; timeout ${forgottenSeconds}s; }\n`;
  const rules = places.flatMap(({ ip, port }) => {
    const six = ip.includes(':');
    const word = six ? 'ip6' : 'ip';
    return sources
      .filter((cidr) => cidr.includes(':') === six)
      .map(
        (cidr) =>
          `    ${word} saddr ${cidr} ${word} daddr ${ip} udp dport ${port} update @senders${six ? 6 : 4} { ${word} saddr limit rate over ${perSecondMax}/second burst ${burstMax} packets } counter drop\n`,
      );
  });
  const chain = `  chain input {\n    type filter hook input priority -5; policy accept;\n${rules.join('')}  }\n`;
  return `${removal(tableName)}table inet ${tableName} {\n${set(false)}${set(true)}${chain}}\n`;
}
