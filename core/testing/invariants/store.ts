import type { Commit } from '../disk.ts';
import { type Checker, type MakeChecker, storeKeyOf, targetOf, versionIn } from './checker.ts';

/** I1: an acknowledged write survives. */
export const survival: MakeChecker = ({ history, report }): Checker => ({
  answered({ method, target }, status, body) {
    if (method === 'GET' || status >= 300) return;
    const wanted = targetOf(target);
    if (!wanted || wanted.query.has('dryRun') || method === 'DELETE') return;
    const version = versionIn(body.slice(0, 1_000));
    const isKind = body.startsWith('{"apiVersion":') && !body.startsWith('{"apiVersion":"v1","kind":"Status"');
    if (version === undefined || !isKind || ['token', 'scale', 'eviction'].includes(wanted.subresource)) return;
    if (!history.byVersion.has(version))
      report('I1', `${method} ${target} was answered with version ${version}, which no write made`);
  },
  stored(entries) {
    const found = new Map(entries.map((entry) => [entry.key, entry]));
    for (const [key, commit] of history.current) {
      const entry = found.get(key);
      if (entry?.version === commit.version && !Buffer.from(entry.value).equals(commit.value!))
        report('I1', `${key}: version ${commit.version} holds other bytes than were acknowledged`);
      if (entry?.version !== commit.version)
        report(
          'I1',
          `${key}: version ${commit.version} was acknowledged, the store holds ${entry?.version ?? 'nothing'}`,
        );
    }
    for (const key of found.keys())
      if (!history.current.has(key)) report('I1', `${key}: its deletion was acknowledged and it is back`);
  },
});

/** I2: versions strictly rise. */
export const risingVersions: MakeChecker = ({ report }): Checker => {
  let last = 0;
  return {
    commit({ key, version }) {
      if (version <= last) report('I2', `${key} got version ${version} after ${last}`);
      last = version;
    },
  };
};

/** I5: of the writers that expect one version, one wins. */
export const oneWinner: MakeChecker = ({ report }): Checker => ({
  commit({ key, version, expected, previous }) {
    if (expected === undefined) return;
    const found = previous?.type === 'put' ? previous.version : 0;
    if (found !== expected)
      report('I5', `${key}: the write of version ${version} expected ${expected}, but ${found} was there`);
  },
});

/** I3: a default read shows at least everything that was acknowledged before it was asked. */
export const linearReads: MakeChecker = ({ history, report }): Checker => {
  /** Key → the newest commit that an answer has told of. */
  const acked = new Map<string, Commit>();
  return {
    answered({ method, target, ackedBefore, beganAtMs }, status, body) {
      if (status >= 500 || status === 429) return;
      const wanted = targetOf(target);
      if (!wanted || wanted.subresource) return;
      if (method !== 'GET') {
        const commit = status < 300 ? history.byVersion.get(versionIn(body.slice(0, 1_000)) ?? -1) : undefined;
        if (commit) acked.set(commit.key, commit);
        return;
      }
      if (wanted.query.get('resourceVersion')) return;
      const version = versionIn(body.slice(0, 1_000));
      if (!wanted.name) {
        if (version !== undefined && version < ackedBefore)
          report('I3', `GET ${target} showed version ${version}; ${ackedBefore} had been acknowledged`);
        return;
      }
      const known = acked.get(storeKeyOf(wanted));
      if (!known || known.version > ackedBefore || known.atMs > beganAtMs) return;
      if (status === 200 && version !== undefined && version < known.version)
        report('I3', `GET ${target} showed version ${version}; ${known.version} had been acknowledged`);
      if (status === 404 && history.current.get(known.key) === known)
        report('I3', `GET ${target} found nothing; version ${known.version} had been acknowledged`);
    },
  };
};
