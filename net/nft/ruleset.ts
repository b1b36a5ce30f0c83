/**
 * One nftables table as data: what we render to text, what we diff, and what the packet walker of the tests reads.
 * Keys and values of elements are nft text (`10.0.0.1 . tcp . 80`), so that all three see the very same strings.
 */
export type Field =
  | 'ip saddr'
  | 'ip daddr'
  | 'ip saddr . ip daddr'
  | 'ip daddr . ip protocol . th dport'
  | 'ip protocol . th dport';
export type Pick = { readonly by: 'random' | 'client'; readonly of: number };

export interface Table {
  readonly name: string;
  readonly sets: readonly { readonly name: string; readonly fields: Field; readonly interval?: boolean }[];
  readonly maps: readonly {
    readonly name: string;
    readonly fields: Field;
    /** `endpoint`: the key ends in an index and the value is an address and a port. */
    readonly to: 'verdict' | 'endpoint';
  }[];
  readonly chains: readonly Chain[];
}
export interface Chain {
  readonly name: string;
  readonly hook?: {
    readonly type: 'nat' | 'filter';
    readonly at: 'prerouting' | 'output' | 'postrouting';
    readonly priority: number;
  };
  readonly rules: readonly Rule[];
}
/** All matches hold, then the action. A map action without an entry for the packet goes on with the next rule. */
export interface Rule {
  readonly when?: readonly Match[];
  readonly do: Action;
}
export type Match =
  | { readonly type: 'in'; readonly fields: Field; readonly set: string; readonly not?: boolean }
  | { readonly type: 'toThisHost' }
  | { readonly type: 'tcp' }
  | { readonly type: 'translated' }
  | { readonly type: 'marked'; readonly bit: number };
export type Action =
  | { readonly type: 'vmap'; readonly fields: Field; readonly map: string }
  | { readonly type: 'dnat'; readonly fields: Field; readonly pick: Pick; readonly map: string }
  | { readonly type: 'jump' | 'goto'; readonly chain: string }
  | { readonly type: 'mark'; readonly bit: number }
  | { readonly type: 'masquerade'; readonly clearBit?: number }
  | { readonly type: 'reject'; readonly with: 'tcp reset' | 'icmp port-unreachable' };

/** One entry of a set (no value) or a map. */
export interface Element {
  readonly in: string;
  readonly key: string;
  readonly value?: string;
}
/** The same client is sent to the same index in every chain and after every restart. */
const clientHashSeed = 0x7069_6e74;
const elementsPerCommandMax = 2_000; // keeps single lines of the transaction below 200 kB

const pickText = (pick: Pick): string =>
  pick.by === 'random'
    ? `numgen random mod ${pick.of}`
    : `jhash ip saddr mod ${pick.of} seed 0x${clientHashSeed.toString(16)}`;

function matchText(match: Match): string {
  switch (match.type) {
    case 'in':
      return `${match.fields} ${match.not ? '!= ' : ''}@${match.set}`;
    case 'toThisHost':
      return 'fib daddr type local ip daddr != 127.0.0.0/8'; // the kernel does not route translated loopback packets out
    case 'tcp':
      return 'meta l4proto tcp';
    case 'translated':
      return 'ct status dnat';
    case 'marked':
      return `meta mark & 0x${match.bit.toString(16)} == 0x${match.bit.toString(16)}`;
  }
}
function actionText(action: Action): string {
  switch (action.type) {
    case 'vmap':
      return `${action.fields} vmap @${action.map}`;
    case 'dnat':
      return `dnat ip to ${action.fields} . ${pickText(action.pick)} map @${action.map}`;
    case 'jump':
    case 'goto':
      return `${action.type} ${action.chain}`;
    case 'mark':
      return `meta mark set meta mark | 0x${action.bit.toString(16)}`;
    case 'masquerade':
      return action.clearBit === undefined
        ? 'masquerade'
        : `meta mark set meta mark & 0x${(~action.clearBit >>> 0).toString(16)} masquerade`;
    case 'reject':
      return `reject with ${action.with}`;
  }
}
export const ruleText = (rule: Rule): string =>
  [...(rule.when ?? []).map(matchText), actionText(rule.do)].filter((part) => part !== '').join(' ');

export function chainText(chain: Chain): string {
  const hook = chain.hook
    ? [`  type ${chain.hook.type} hook ${chain.hook.at} priority ${chain.hook.priority}; policy accept;`]
    : [];
  return [` chain ${chain.name} {`, ...hook, ...chain.rules.map((rule) => `  ${ruleText(rule)}`), ' }'].join('\n');
}

/** Replaces the whole table in one transaction: packets see the old rules or the new ones, never none. */
export function replaceText(table: Table, elements: Iterable<Element>): string {
  const declarations = [
    ...table.sets.map(
      (set) => ` set ${set.name} { typeof ${set.fields}; ${set.interval ? 'flags interval; auto-merge; ' : ''}}`,
    ),
    ...table.maps.map(
      (map) =>
        ` map ${map.name} { typeof ${map.fields}${map.to === 'endpoint' ? ' . numgen random mod 4 : ip daddr . th dport' : ' : verdict'}; }`,
    ),
  ];
  // A chain may only be named by a rule once it is known, so plain chains come before those with hooks.
  const chains = [...table.chains].sort((a, b) => Number(a.hook !== undefined) - Number(b.hook !== undefined));
  return [
    `add table ip ${table.name}`,
    `delete table ip ${table.name}`,
    `table ip ${table.name} {`,
    ...declarations,
    ...chains.map(chainText),
    '}',
    ...elementCommands('add', table.name, elements),
    '',
  ].join('\n');
}

/** The commands that turn one state into the next, deletions first. */
export function changeCommands(
  table: string,
  change: { readonly chains: readonly Chain[]; readonly removed: Iterable<Element>; readonly added: Iterable<Element> },
): string[] {
  const chains = change.chains.length > 0 ? [`table ip ${table} {`, ...change.chains.map(chainText), '}'] : [];
  return [
    ...chains,
    ...elementCommands('delete', table, change.removed),
    ...elementCommands('add', table, change.added),
  ];
}

function elementCommands(verb: 'add' | 'delete', table: string, elements: Iterable<Element>): string[] {
  const byTarget = new Map<string, string[]>();
  for (const element of elements) {
    let list = byTarget.get(element.in);
    if (!list) byTarget.set(element.in, (list = []));
    list.push(verb === 'delete' || element.value === undefined ? element.key : `${element.key} : ${element.value}`);
  }
  const commands: string[] = [];
  for (const [target, list] of byTarget)
    for (let start = 0; start < list.length; start += elementsPerCommandMax)
      commands.push(
        `${verb} element ip ${table} ${target} { ${list.slice(start, start + elementsPerCommandMax).join(', ')} }`,
      );
  return commands;
}
