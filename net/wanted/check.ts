import type { Lease, LocalHost } from '../backend.ts';
import { type NetworkWork, type WorkLink, type WorkMistake, workLimits } from './list.ts';
import { isWithin, readAddress, readRange, sameText } from './ranges.ts';

/** What a list is held against: nothing outside of it can be named. */
export interface WorkScope {
  readonly local: LocalHost;
  readonly peers: readonly Lease[];
  /** Pod addresses of the cluster (CIDR). */
  readonly podRanges: readonly string[];
  /** Links that an earlier list of the same backend made; the list itself may add some. */
  readonly links?: readonly Pick<WorkLink, 'name' | 'type'>[];
}
type Checked =
  | { readonly ok: true; readonly work: NetworkWork }
  | { readonly ok: false; readonly mistakes: WorkMistake[] };
type Note = (at: string, why: string) => void;
type Fields = Readonly<Record<string, unknown>>;

const mistakesMax = 20;
const mtuMin = 1_280; // what IPv6 needs
const mtuMax = 65_535;
const fieldsOf: Readonly<Record<keyof NetworkWork, readonly string[]>> = {
  links: ['name', 'type', 'mtuBytes', 'vni', 'port'],
  addresses: ['link', 'address'],
  routes: ['to', 'link', 'via'],
  neighbours: ['link', 'ip', 'mac'],
  forwarding: ['link', 'mac', 'to'],
  peers: ['link', 'publicKey', 'endpoint', 'allowed', 'keepaliveSeconds'],
  drops: ['direction', 'range'],
};

/**
 * Whether this is a list that may be applied: its shape, its bounds, and that it names nothing but the backend's own links, this
 * host's subnets, and the subnets and endpoints of peers. Every mistake (the first 20) is said with its place. Pure.
 */
export function checkWork(value: unknown, scope: WorkScope): Checked {
  const mistakes: WorkMistake[] = [];
  const note: Note = (at, why) => void (mistakes.length < mistakesMax && mistakes.push({ at, why }));
  if (!isFields(value)) return { ok: false, mistakes: [{ at: '', why: 'it is no list of work' }] };
  for (const key of Object.keys(value)) if (!Object.hasOwn(fieldsOf, key)) note(key, 'there is no such work');
  const each = (kind: keyof NetworkWork, check: (one: Fields, at: string) => void): void => {
    const list = value[kind];
    if (list === undefined) return;
    if (!Array.isArray(list)) return note(kind, 'it must be a list');
    if (list.length > workLimits[kind]) return note(kind, `${list.length} are more than ${workLimits[kind]}`);
    list.forEach((one: unknown, index) => {
      const at = `${kind}[${index}]`;
      if (!isFields(one)) return note(at, 'it must be an object');
      const stray = Object.keys(one).find((key) => !fieldsOf[kind].includes(key));
      if (stray !== undefined) return note(`${at}.${stray.slice(0, 40)}`, 'there is no such field');
      check(one, at);
    });
  };
  const links = new Map<unknown, unknown>((scope.links ?? []).map(({ name, type }) => [name, type]));
  const named = new Set<unknown>();
  each('links', (link, at) => {
    checkLink(link, at, note);
    if (named.has(link['name'])) note(`${at}.name`, 'it is there twice');
    named.add(link['name']);
    links.set(link['name'], link['type']);
  });
  const known: Known = { ...scope, typeOf: (name) => links.get(name), note };
  each('addresses', (one, at) => checkAddress(one, at, known));
  each('routes', (one, at) => checkRoute(one, at, known));
  each('neighbours', (one, at) => checkNeighbour(one, at, known));
  each('forwarding', (one, at) => checkForwarding(one, at, known));
  const taken = new Map<string, unknown>();
  each('peers', (one, at) => checkPeer(one, at, known, taken));
  each('drops', ({ direction, range }, at) => {
    if (direction !== 'from' && direction !== 'to') note(`${at}.direction`, 'it must be from or to');
    if (!readRange(range) || !isWithin(String(range), scope.podRanges))
      note(`${at}.range`, `${say(range)} is no range of pod addresses of this cluster`);
  });
  return mistakes.length > 0 ? { ok: false, mistakes } : { ok: true, work: value as NetworkWork };
}
type Known = WorkScope & { readonly typeOf: (link: unknown) => unknown; readonly note: Note };

function checkLink(link: Fields, at: string, note: Note): void {
  const { name, type, mtuBytes, vni, port } = link;
  if (typeof name !== 'string' || !/^[a-z][a-z0-9]{0,4}$/.test(name))
    note(`${at}.name`, `${say(name)} is no label of at most 5 lower-case letters and digits`);
  if (type !== 'vxlan' && type !== 'wireguard') note(`${at}.type`, `${say(type)} is neither vxlan nor wireguard`);
  if (type === 'vxlan' ? !isWhole(vni, 1, 2 ** 24 - 1) : vni !== undefined)
    note(`${at}.vni`, 'a vxlan link, and no other, has a number from 1 to 16777215');
  if (!isWhole(port, 1_024, 65_535)) note(`${at}.port`, 'it must be from 1024 to 65535');
  if (mtuBytes !== undefined && !isWhole(mtuBytes, mtuMin, mtuMax))
    note(`${at}.mtuBytes`, `it must be from ${mtuMin} to ${mtuMax}`);
}

function checkOwn({ link }: Fields, at: string, { typeOf, note }: Known, type?: WorkLink['type']): void {
  const found = typeOf(link);
  if (found === undefined) note(`${at}.link`, `${say(link)} is no link of this backend`);
  else if (type && found !== type) note(`${at}.link`, `${say(link)} is no ${type} link`);
}

function checkAddress(one: Fields, at: string, known: Known): void {
  checkOwn(one, at, known);
  const { address } = one;
  if (!readAddress(address) || !isWithin(String(address), known.local.subnets))
    known.note(`${at}.address`, `${say(address)} is no address in the subnets of this host`);
}

const subnetsOf = (peers: readonly Lease[]): string[] => peers.flatMap(({ subnets }) => subnets);
const isEndpoint = (peers: readonly Lease[], ip: unknown): boolean =>
  readAddress(ip) !== undefined && peers.some(({ endpoint }) => sameText(endpoint) === sameText(String(ip)));

function checkRoute({ to, link, via }: Fields, at: string, known: Known): void {
  const { peers, podRanges, note } = known;
  const isTo = readRange(to) && isWithin(String(to), podRanges) && isWithin(String(to), subnetsOf(peers));
  if (!isTo) note(`${at}.to`, `${say(to)} lies in no peer's subnet`);
  if (link === undefined) {
    if (!isEndpoint(peers, via)) note(`${at}.via`, `${say(via)} is no peer's endpoint, and the route has no link`);
    return;
  }
  checkOwn({ link }, at, known);
  if (via !== undefined && !(readAddress(via) && isWithin(String(via), subnetsOf(peers))))
    note(`${at}.via`, `${say(via)} lies in no peer's subnet`);
}

function checkNeighbour(one: Fields, at: string, known: Known): void {
  checkOwn(one, at, known);
  if (!readAddress(one['ip']) || !isWithin(String(one['ip']), subnetsOf(known.peers)))
    known.note(`${at}.ip`, `${say(one['ip'])} lies in no peer's subnet`);
  if (!isMac(one['mac'])) known.note(`${at}.mac`, `${say(one['mac'])} is no hardware address of one host`);
}
function checkForwarding(one: Fields, at: string, known: Known): void {
  checkOwn(one, at, known, 'vxlan');
  if (!isMac(one['mac'])) known.note(`${at}.mac`, `${say(one['mac'])} is no hardware address of one host`);
  if (!isEndpoint(known.peers, one['to'])) known.note(`${at}.to`, `${say(one['to'])} is no peer's endpoint`);
}

/** `taken`: what an earlier peer of the list has; no two can have the same. */
function checkPeer(one: Fields, at: string, known: Known, taken: Map<string, unknown>): void {
  const { peers, note } = known;
  checkOwn(one, at, known, 'wireguard');
  const { publicKey, endpoint, allowed, keepaliveSeconds } = one;
  if (typeof publicKey !== 'string' || !/^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/.test(publicKey))
    note(`${at}.publicKey`, 'it must be 32 bytes in base64');
  const isRight = isFields(endpoint) && Object.keys(endpoint).every((key) => key === 'ip' || key === 'port');
  if (!isRight || !isEndpoint(peers, endpoint['ip']) || !isWhole(endpoint['port'], 1, 65_535))
    note(`${at}.endpoint`, "it must be a peer's endpoint (ip) and a port");
  if (keepaliveSeconds !== undefined && !isWhole(keepaliveSeconds, 1, 65_535))
    note(`${at}.keepaliveSeconds`, 'it must be from 1 to 65535');
  if (!Array.isArray(allowed) || allowed.length > 256)
    return note(`${at}.allowed`, 'it must be a list of at most 256 ranges');
  allowed.forEach((range: unknown, index) => {
    const place = `${at}.allowed[${index}]`;
    if (!readRange(range) || !isWithin(String(range), subnetsOf(peers)))
      return note(place, `${say(range)} lies in no peer's subnet`);
    const key = `${String(one['link'])} ${sameText(String(range))}`;
    if (taken.has(key) && taken.get(key) !== publicKey) note(place, `${say(range)} is another peer's already`);
    taken.set(key, publicKey);
  });
}

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isWhole = (value: unknown, least: number, most: number): boolean =>
  Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most;
/** Of one host: the lowest bit of the first byte marks a group. */
const isMac = (value: unknown): boolean =>
  typeof value === 'string' &&
  /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(value) &&
  (Number.parseInt(value.slice(0, 2), 16) & 1) === 0 &&
  value !== '00:00:00:00:00:00';
/** For a message: short, and in one line. */
const say = (value: unknown): string => JSON.stringify(value)?.slice(0, 60) ?? 'nothing';
