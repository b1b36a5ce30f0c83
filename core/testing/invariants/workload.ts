import { milliOf, type Node, type Pod, type ReplicationController, type Service, wholeOf } from '#api';
import type { Commit } from '../disk.ts';
import type { Exchange } from '../network.ts';
import { type Checker, type MakeChecker, type Truth, targetOf } from './checker.ts';

export const podsPrefix = '/registry/core/pods/';
export const nodesPrefix = '/registry/core/nodes/';
export const controllersPrefix = '/registry/core/replicationcontrollers/';
export const servicesPrefix = '/registry/core/services/';
/** How old the knowledge may be on which a controller acts: longer than any cut of its network. */
const staleMsMax = 60_000;

export const asPod = (commit: Commit) => commit.object as unknown as Readonly<Pod>;
export const isFinished = (pod: Readonly<Pod>) => pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
export const isActive = (pod: Readonly<Pod>) => !isFinished(pod) && !pod.metadata.deletionTimestamp;
const ownerOf = (pod: Readonly<Pod>) => pod.metadata.ownerReferences?.find(({ controller }) => controller);

/**
 * I7: never more than N pods, plus what the controller cannot know of: creations whose answer never reached it. N is the
 * highest count that was asked for while its knowledge may come from then.
 */
export const noSurplus: MakeChecker = (truth): Checker => {
  const { history, report, nowMs } = truth;
  const unheard: { uid: string; atMs: number }[] = [];
  /** Creations that the server works on, or whose answer is on its way. */
  const underWay = new Map<number, { readonly by: Exchange; uid: string }>();
  return {
    commit(commit) {
      if (commit.type !== 'put' || commit.previous?.type === 'put' || !commit.key.startsWith(podsPrefix)) return;
      const owner = ownerOf(asPod(commit));
      if (owner?.kind !== 'ReplicationController') return;
      const active = [...history.live(podsPrefix)].filter(
        (other) => ownerOf(asPod(other))?.uid === owner.uid && isActive(asPod(other)),
      ).length;
      const wanted = highestWanted(truth, commit, owner.name, owner.uid);
      const lost = unheard.filter(({ uid, atMs }) => (uid === owner.uid || !uid) && atMs > nowMs() - staleMsMax).length;
      const surge = lost + [...underWay.values()].filter(({ by }) => !by.from.alive).length;
      if (active > wanted + surge)
        report(
          'I7',
          `${commit.key}: pod ${active} of ${owner.name}, which wants ${wanted}; ${surge} creations are unheard of`,
        );
    },
    began(exchange) {
      const wanted = exchange.method === 'POST' ? targetOf(exchange.target) : undefined;
      if (wanted?.prefix === podsPrefix && !wanted.subresource) underWay.set(exchange.id, { by: exchange, uid: '' });
    },
    answered({ id }, status, body) {
      const creation = underWay.get(id);
      if (status !== 201) underWay.delete(id);
      else if (creation) creation.uid = /"ownerReferences":\[\{[^\]]*"uid":"([^"]+)"/.exec(body)?.[1] ?? '';
    },
    delivered({ id }, reached) {
      const creation = underWay.get(id);
      underWay.delete(id);
      if (creation && !reached) unheard.push({ uid: creation.uid, atMs: nowMs() });
    },
  };
};
function highestWanted({ history, nowMs }: Truth, pod: Commit, name: string, uid: string): number {
  const namespace = asPod(pod).metadata.namespace;
  let highest = 0;
  let commit = history.current.get(`${controllersPrefix}${namespace}/${name}`);
  if (!commit)
    commit = history.byPrefix
      .get(controllersPrefix)
      ?.findLast(({ key }) => key === `${controllersPrefix}${namespace}/${name}`);
  for (; commit; commit = commit.previous) {
    const rc = commit.object as unknown as Readonly<ReplicationController>;
    if (rc.metadata.uid !== uid) continue;
    highest = Math.max(highest, rc.spec?.replicas ?? 1);
    if (commit.atMs < nowMs() - staleMsMax) break;
  }
  return highest;
}

/** I8: no node is over-committed by requests, and a pod is bound once. */
export const noOvercommit: MakeChecker = ({ history, report }): Checker => ({
  commit(commit) {
    if (commit.type !== 'put' || !commit.key.startsWith(podsPrefix)) return;
    const pod = asPod(commit);
    const node = pod.spec?.nodeName;
    const before = commit.previous?.type === 'put' ? asPod(commit.previous).spec?.nodeName : undefined;
    if (before && before !== node) report('I8', `${commit.key} was bound to ${before} and then to ${node || 'none'}`);
    if (!node || before) return;
    const home = history.current.get(nodesPrefix + node)?.object as unknown as Readonly<Node> | undefined;
    const room = home?.status?.allocatable;
    if (!room) return;
    const there = [...history.live(podsPrefix)]
      .map(asPod)
      .filter((other) => other.spec?.nodeName === node && !isFinished(other));
    const sum = (read: (requests: Readonly<Record<string, string>>) => number) =>
      there.reduce(
        (total, other) =>
          total +
          (other.spec?.containers ?? []).reduce((part, { resources }) => part + read(resources?.requests ?? {}), 0),
        0,
      );
    const cpu = sum(({ cpu }) => milliOf(cpu));
    const memory = sum(({ memory }) => wholeOf(memory));
    if (cpu > milliOf(room['cpu']))
      report('I8', `${node} has ${room['cpu']} cpu, its pods request ${cpu}m with ${commit.key}`);
    if (memory > wholeOf(room['memory']))
      report('I8', `${node} has ${room['memory']} memory, its pods request ${memory}`);
    if (there.length > Number(room['pods'] ?? 110))
      report('I8', `${node} takes ${room['pods']} pods, it has ${there.length}`);
  },
});

/** I9: addresses of live pods and of services are unique. */
export const uniqueAddresses: MakeChecker = ({ history, report }): Checker => {
  const check = (commit: Commit, what: string, ips: (commit: Commit) => readonly string[], prefix: string) => {
    const own = ips(commit);
    if (own.length === 0) return;
    for (const other of history.live(prefix)) {
      if (other.key === commit.key) continue;
      const same = ips(other).find((ip) => own.includes(ip));
      if (same) report('I9', `${what} ${same} belongs to ${commit.key} and to ${other.key}`);
    }
  };
  const podIps = (commit: Commit): readonly string[] => {
    const pod = asPod(commit);
    if (!isActive(pod) || pod.spec?.hostNetwork || pod.status?.phase !== 'Running') return [];
    return (pod.status?.podIPs ?? []).map(({ ip }) => ip);
  };
  const serviceIps = (commit: Commit): readonly string[] =>
    ((commit.object as unknown as Readonly<Service>).spec?.clusterIPs ?? []).filter((ip) => ip !== 'None');
  return {
    commit(commit) {
      if (commit.type !== 'put') return;
      if (commit.key.startsWith(podsPrefix)) check(commit, 'the pod address', podIps, podsPrefix);
      else if (commit.key.startsWith(servicesPrefix)) check(commit, 'the virtual address', serviceIps, servicesPrefix);
    },
  };
};

/** I6: a pod runs on at most one node. */
export const onePlace: MakeChecker = ({ report }): Checker => ({
  running(places) {
    const homes = new Map<string, string>();
    for (const { podUid, node } of places) {
      const other = homes.get(podUid) ?? node;
      if (other !== node) report('I6', `pod ${podUid} runs on ${other} and on ${node}`);
      homes.set(podUid, node);
    }
  },
});

const stormMs = 2_000;
const stormCommitsMax = 100;

/** I13: no object is written without end, as by two components that each undo what the other said. */
export const noStorm: MakeChecker = ({ report }): Checker => {
  const recent = new Map<string, number[]>();
  return {
    commit({ key, atMs }) {
      const times = (recent.get(key) ?? []).filter((time) => time > atMs - stormMs);
      times.push(atMs);
      recent.set(key, times);
      if (times.length > stormCommitsMax) report('I13', `${key} was written ${times.length} times in ${stormMs} ms`);
    },
  };
};
