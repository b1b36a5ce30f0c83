import {
  type AllowRule,
  type Direction,
  type ElementChange,
  type Family,
  type FilterChain,
  type FilterChange,
  type FilterMatch,
  type FilterShape,
  familyOf,
  type PortRange,
  type SetKind,
  standingNames,
} from '../packet-filter.ts';

const families = [4, 6] as const;
const directions = ['in', 'out'] as const;
const addressType = (family: Family) => (family === 4 ? 'ipv4_addr' : 'ipv6_addr');
const header = (family: Family) => (family === 4 ? 'ip' : 'ip6');
const setTypeText = ({ type, family }: SetKind) =>
  type === 'address' ? addressType(family) : `${addressType(family)} . inet_proto . inet_service`;
const rangeText = ([first, last]: PortRange) => (first === last ? String(first) : `${first}-${last}`);

function matchText(match: FilterMatch): string {
  switch (match.type) {
    case 'member':
      return `${header(match.family)} ${match.side} @${match.set}`;
    case 'block': {
      const field = `${header(match.family)} ${match.side}`;
      const except = match.except.length > 0 ? ` ${field} != { ${match.except.join(', ')} }` : '';
      return /\/0$/.test(match.cidr) ? `meta nfproto ipv${match.family}${except}` : `${field} ${match.cidr}${except}`;
    }
    case 'ports':
      return match.ranges.length === 0
        ? `meta l4proto ${match.protocol}`
        : `${match.protocol} dport { ${match.ranges.map(rangeText).join(', ')} }`;
    case 'endpoint':
      return `${header(match.family)} daddr . meta l4proto . th dport @${match.set}`;
  }
}
export const allowText = (rule: AllowRule): string => [...rule.map(matchText), 'accept'].join(' ');
const rulesOf = (chain: FilterChain): string[] =>
  chain.type === 'allow' ? chain.rules.map(allowText) : [...chain.allow.map((name) => `jump ${name}`), 'drop'];

const priority = -10; // before the filters of others: what they accept is no business of ours
const neighbours =
  'icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, nd-router-advert } accept';

/** From a pod: also to this host. To a pod: what this host sends itself never comes by (probes). */
function standingChain(direction: Direction, podLinks: readonly string[]): string[] {
  const side = direction === 'in' ? 'daddr' : 'saddr';
  const links = podLinks.map((link) => `"${link}"`).join(', ');
  return [
    `chain decide_${direction} {`,
    'ct state established,related accept',
    ...(direction === 'out' ? ['iifname "lo" accept'] : []), // this host to itself, by its address among the pods
    neighbours,
    ...families.flatMap((family) => {
      const ip = header(family);
      return [
        ...(direction === 'out' && links
          ? [`iifname { ${links} } ${ip} saddr != @${standingNames.known(family)} drop`]
          : []),
        `${ip} saddr . ${ip} daddr @${standingNames.self(family)} accept`,
        `${ip} ${side} @local${family} ${ip} ${side} != @${standingNames.known(family)} drop`,
        `${ip} ${side} vmap @${standingNames.guarded(direction, family)}`,
        ...(direction === 'in' ? [`${ip} daddr @${standingNames.flooded(family)} drop`] : []),
      ];
    }),
    '}',
  ];
}

/** Replaces the whole table in one transaction: packets see the old rules or the new ones, never none. */
export function replaceText(shape: FilterShape, change: FilterChange): string {
  const { tableName } = shape;
  const sets = families.flatMap((family) => {
    const ranges = shape.localRanges().filter((range) => familyOf(range) === family);
    const elements = ranges.length > 0 ? ` elements = { ${ranges.join(', ')} };` : '';
    return [
      `set local${family} { type ${addressType(family)}; flags interval; auto-merge;${elements} }`,
      `set ${standingNames.known(family)} { type ${addressType(family)}; }`,
      `set ${standingNames.flooded(family)} { type ${addressType(family)}; flags interval; auto-merge; }`,
      `set ${standingNames.self(family)} { type ${addressType(family)} . ${addressType(family)}; }`,
      ...directions.map(
        (direction) => `map ${standingNames.guarded(direction, family)} { type ${addressType(family)} : verdict; }`,
      ),
    ];
  });
  const hooks = [
    ['out_forward', 'forward', 'out'],
    ['out_input', 'input', 'out'],
    ['in_forward', 'forward', 'in'],
  ] as const;
  return [
    `add table inet ${tableName}`,
    `delete table inet ${tableName}`,
    `table inet ${tableName} {`,
    ...sets,
    ...directions.flatMap((direction) => standingChain(direction, shape.podLinks ?? [])),
    ...hooks.flatMap(([name, hook, direction], index) => [
      `chain ${name} {`,
      // An accept ends a base chain alone: what leaves one pod for another is asked on both sides.
      `type filter hook ${hook} priority ${priority + index}; policy accept;`,
      `jump decide_${direction}`,
      '}',
    ]),
    '}',
    ...changeCommands(tableName, change),
    '',
  ].join('\n');
}

const elementsPerCommandMax = 2_000; // keeps single lines of the transaction below 200 kB

/** The commands of one transaction. What is named comes before its names, and goes after them. */
export function changeCommands(tableName: string, change: FilterChange): string[] {
  const t = `inet ${tableName}`;
  const elements = (verb: 'add' | 'delete', part: keyof ElementChange) =>
    [...change.elements].flatMap(([name, { [part]: list }]) => {
      const commands: string[] = [];
      for (let start = 0; start < list.length; start += elementsPerCommandMax) {
        const some = list.slice(start, start + elementsPerCommandMax);
        const texts = verb === 'add' ? some : some.map((each) => each.split(' : ')[0]!);
        commands.push(`${verb} element ${t} ${name} { ${texts.join(', ')} }`);
      }
      return commands;
    });
  return [
    ...[...change.setsAdded].map(([name, kind]) => `add set ${t} ${name} { type ${setTypeText(kind)}; }`),
    ...[...change.chains.keys()].map((name) => `add chain ${t} ${name}`),
    ...[...change.chains].flatMap(([name, chain]) => [
      `flush chain ${t} ${name}`,
      ...rulesOf(chain).map((rule) => `add rule ${t} ${name} ${rule}`),
    ]),
    ...elements('delete', 'removed'),
    ...elements('add', 'added'),
    ...change.chainsRemoved.map((name) => `flush chain ${t} ${name}`), // they name each other
    ...change.chainsRemoved.map((name) => `delete chain ${t} ${name}`),
    ...change.setsRemoved.map((name) => `delete set ${t} ${name}`),
  ];
}

export const isEmptyChange = (change: FilterChange): boolean =>
  change.setsAdded.size +
    change.setsRemoved.length +
    change.chains.size +
    change.chainsRemoved.length +
    change.elements.size ===
  0;
