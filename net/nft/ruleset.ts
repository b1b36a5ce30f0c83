/**
 * One nftables table as data: what we render to text, what we diff, and what the packet walker of the tests reads.
 * Keys and values of elements are nft text (`10.0.0.1 . tcp . 80`), so that all three see the very same strings.
 */
export type Family = 4 | 6;
/** Without a word about the family, which belongs to the table. */
export type Field =
  | 'saddr'
  | 'daddr'
  | 'saddr . daddr'
  | 'daddr . proto . dport'
  | 'proto . dport'
  | 'saddr . daddr . proto . dport'
  | 'daddr . proto . dport . saddr';
/** One of `of`, counted from `offset`. */
export interface Pick {
  readonly of: number;
  readonly offset?: number;
}

export interface Table {
  readonly family: Family;
  readonly name: string;
  readonly sets: readonly NamedSet[];
  readonly maps: readonly {
    readonly name: string;
    readonly fields: Field;
    /** `endpoint`: the key ends in an index and the value is an address and a port. */
    readonly to: 'verdict' | 'endpoint';
  }[];
  readonly chains: readonly Chain[];
}
export interface NamedSet {
  readonly name: string;
  readonly fields: Field;
  /** Of ranges: the last part of a key may be one. */
  readonly interval?: boolean;
  /** Rules add members, which expire; at most this many. */
  readonly learnedMax?: number;
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
  | { readonly type: 'fromThisHost' }
  | { readonly type: 'tcp' }
  | { readonly type: 'new' }
  | { readonly type: 'translated' }
  | { readonly type: 'marked'; readonly bit: number };
export type Action =
  | { readonly type: 'vmap'; readonly fields: Field; readonly map: string }
  | { readonly type: 'dnat'; readonly fields: Field; readonly pick: Pick; readonly map: string }
  /** The chain at a random place. */
  | { readonly type: 'spread'; readonly chains: readonly string[] }
  | { readonly type: 'learn'; readonly fields: Field; readonly set: string; readonly ttlSeconds: number }
  | { readonly type: 'jump' | 'goto'; readonly chain: string }
  | { readonly type: 'mark'; readonly bit: number }
  | { readonly type: 'masquerade'; readonly clearBit?: number }
  | { readonly type: 'drop' }
  | { readonly type: 'reject'; readonly with: 'tcp reset' | 'port-unreachable' };

/** One entry of a set (no value) or a map. */
export interface Element {
  readonly in: string;
  readonly key: string;
  readonly value?: string;
}
const elementsPerCommandMax = 2_000; // keeps single lines of the transaction below 200 kB

const familyWord = (family: Family): 'ip' | 'ip6' => (family === 4 ? 'ip' : 'ip6');
const fieldsText = (family: Family, fields: Field): string =>
  fields
    .split(' . ')
    .map((field) => {
      if (field === 'proto') return 'meta l4proto';
      return field === 'dport' ? 'th dport' : `${familyWord(family)} ${field}`;
    })
    .join(' . ');

function matchText(family: Family, match: Match): string {
  const word = familyWord(family);
  switch (match.type) {
    case 'in':
      return `${fieldsText(family, match.fields)} ${match.not ? '!= ' : ''}@${match.set}`;
    case 'toThisHost': // the kernel does not route translated loopback packets out
      return `fib daddr type local ${word} daddr != ${family === 4 ? '127.0.0.0/8' : '::1'}`;
    case 'fromThisHost':
      return 'fib saddr type local';
    case 'tcp':
      return 'meta l4proto tcp';
    case 'new':
      return 'ct state new';
    case 'translated':
      return 'ct status dnat';
    case 'marked':
      return `meta mark & 0x${match.bit.toString(16)} == 0x${match.bit.toString(16)}`;
  }
}
/** A single place is counted too: only so can a number stand in a key. */
const pickText = ({ of, offset = 0 }: Pick): string =>
  `numgen ${of === 1 ? 'inc' : 'random'} mod ${of}${offset > 0 ? ` offset ${offset}` : ''}`;

function actionText(family: Family, action: Action): string {
  const word = familyWord(family);
  switch (action.type) {
    case 'vmap':
      return `${fieldsText(family, action.fields)} vmap @${action.map}`;
    case 'dnat':
      return `dnat ${word} to ${fieldsText(family, action.fields)} . ${pickText(action.pick)} map @${action.map}`;
    case 'spread':
      return `numgen random mod ${action.chains.length} vmap { ${action.chains.map((name, at) => `${at} : goto ${name}`).join(', ')} }`;
    case 'learn':
      return `update @${action.set} { ${fieldsText(family, action.fields)} timeout ${action.ttlSeconds}s }`;
    case 'jump':
    case 'goto':
      return `${action.type} ${action.chain}`;
    case 'mark':
      return `meta mark set meta mark | 0x${action.bit.toString(16)}`;
    case 'masquerade':
      return action.clearBit === undefined
        ? 'masquerade fully-random'
        : `meta mark set meta mark & 0x${(~action.clearBit >>> 0).toString(16)} masquerade fully-random`;
    case 'drop':
      return 'drop';
    case 'reject':
      return action.with === 'tcp reset'
        ? 'reject with tcp reset'
        : `reject with ${family === 4 ? 'icmp' : 'icmpv6'} port-unreachable`;
  }
}
const ruleText = (family: Family, rule: Rule): string =>
  [...(rule.when ?? []).map((match) => matchText(family, match)), actionText(family, rule.do)].join(' ');

function chainText(family: Family, chain: Chain): string {
  const hook = chain.hook
    ? [`  type ${chain.hook.type} hook ${chain.hook.at} priority ${chain.hook.priority}; policy accept;`]
    : [];
  return [` chain ${chain.name} {`, ...hook, ...chain.rules.map((rule) => `  ${ruleText(family, rule)}`), ' }'].join(
    '\n',
  );
}
function setText(family: Family, { name, fields, interval, learnedMax }: NamedSet): string {
  // Ranges within several parts cannot be merged; those of one can.
  const flags = interval ? (fields.includes(' . ') ? 'flags interval; ' : 'flags interval; auto-merge; ') : '';
  const learned = learnedMax === undefined ? '' : `size ${learnedMax}; flags dynamic,timeout; `;
  return ` set ${name} { typeof ${fieldsText(family, fields)}; ${flags}${learned}}`;
}

/** As text of nft: what removes a table that may not exist. */
export const removalText = (family: Family, name: string): string =>
  `add table ${familyWord(family)} ${name}\ndelete table ${familyWord(family)} ${name}\n`;

/** Replaces the whole table in one transaction: packets see the old rules or the new ones, never none. */
export function replaceText(table: Table, elements: Iterable<Element>): string {
  const { family, name } = table;
  const declarations = [
    ...table.sets.map((set) => setText(family, set)),
    ...table.maps.map(
      (map) =>
        ` map ${map.name} { typeof ${fieldsText(family, map.fields)}${map.to === 'endpoint' ? ` . numgen random mod 4 : ${fieldsText(family, 'daddr')} . th dport` : ' : verdict'}; }`,
    ),
  ];
  return [
    `${removalText(family, name)}table ${familyWord(family)} ${name} {`,
    ...declarations,
    ...inOrder(table.chains).map((chain) => chainText(family, chain)),
    '}',
    ...elementCommands('add', table, elements),
    '',
  ].join('\n');
}

/** A chain may only be named by a rule once it is known: those that others lead to come first. */
function inOrder(chains: readonly Chain[]): Chain[] {
  const byName = new Map(chains.map((chain) => [chain.name, chain]));
  const done = new Set<Chain>();
  const visit = (chain: Chain): void => {
    if (done.has(chain)) return;
    for (const { do: action } of chain.rules) {
      const named = action.type === 'spread' ? action.chains : 'chain' in action ? [action.chain] : [];
      for (const name of named) if (byName.has(name)) visit(byName.get(name)!);
    }
    done.add(chain);
  };
  for (const chain of chains) visit(chain);
  return [...done];
}

/** The commands that turn one state into the next, deletions first. */
export function changeCommands(
  table: TableName,
  change: { readonly removed: Iterable<Element>; readonly added: Iterable<Element> },
): string[] {
  return [...elementCommands('delete', table, change.removed), ...elementCommands('add', table, change.added)];
}
interface TableName {
  readonly family: Family;
  readonly name: string;
}

function elementCommands(verb: 'add' | 'delete', { family, name }: TableName, elements: Iterable<Element>): string[] {
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
        `${verb} element ${familyWord(family)} ${name} ${target} { ${list.slice(start, start + elementsPerCommandMax).join(', ')} }`,
      );
  return commands;
}
