import type { Underlay } from './plan.ts';

/** Nothing sent by `from` arrives at `to`. Names of hosts, or `outside` for the machine. */
export interface Cut {
  readonly from: string;
  readonly to: string;
}
const table = 'pintle_cuts';
/** In the middle, where no host can undo it, by links and not by addresses: ARP and IPv6 are cut too. Text for `nft -f`, the whole set at once. */
export function cutCommands(plan: Underlay, cuts: readonly Cut[]): string {
  const family = plan.spec.kind === 'routed' ? 'inet' : 'bridge';
  const pairs = cuts.flatMap(({ from, to }) =>
    linksOf(plan, from).flatMap((one) => linksOf(plan, to).map((other) => `"${one}" . "${other}"`)),
  );
  const none = `table ${family} ${table}\ndelete table ${family} ${table}\n`;
  if (pairs.length === 0) return none;
  return `${none}table ${family} ${table} {
	set cut { type ifname . ifname; elements = { ${pairs.join(', ')} }
	}
	chain middle {
		type filter hook forward priority -300; policy accept;
		iifname . oifname @cut drop
	}
}
`;
}

/** Links of the middle that lead to a host: a delayed one is reached through another. */
function linksOf(plan: Underlay, name: string): string[] {
  if (name === 'outside') return [plan.outside.port];
  const host = plan.hosts.find((one) => one.name === name);
  if (!host) throw new Error(`there is no host ${name}`);
  return plan.spec.kind === 'routed' ? [host.segment] : [host.port, delayedPort(host.port)];
}
export const delayedPort = (port: string): string => `${port}-late`;

/** Adds and removes directed pairs; the result has each once. `both`: the way back too. */
export function withCuts(
  former: readonly Cut[],
  left: readonly string[],
  right: readonly string[],
  both: boolean,
): Cut[] {
  const cuts = new Map(former.map((cut) => [`${cut.from} ${cut.to}`, cut]));
  for (const from of left)
    for (const to of right) {
      if (from === to) continue;
      cuts.set(`${from} ${to}`, { from, to });
      if (both) cuts.set(`${to} ${from}`, { from: to, to: from });
    }
  return [...cuts.values()];
}
