import { matchesLabels, parseLabelSelector } from '#api';
import type { Commit } from '../disk.ts';
import type { Exchange } from '../network.ts';
import { type Checker, type MakeChecker, type Truth, targetOf, type WatchCheck } from './checker.ts';

/** A change must be on its way to a healthy watch within this time. */
const silenceMsMax = 10_000;

/** I4: a watch tells every change that it selects, once, in order, or ends; never a silent gap. */
export const wholeWatches: MakeChecker = (truth): Checker => {
  const open = new Set<FollowedWatch>();
  return {
    watch(exchange) {
      const followed = FollowedWatch.of(exchange, truth, () => open.delete(followed!));
      if (followed) open.add(followed);
      return followed;
    },
    end() {
      for (const watch of open) watch.mustBeCurrent();
    },
  };
};

class FollowedWatch implements WatchCheck {
  /** Position in the commits of the resource: everything before it was told or is not selected. */
  #next = 0;
  #isOver = false;
  private constructor(
    private readonly target: string,
    private readonly commits: readonly Commit[],
    private readonly selects: (commit: Commit) => boolean,
    private readonly truth: Truth,
    since: number,
    private readonly closed: () => void,
  ) {
    while (this.#next < commits.length && commits[this.#next]!.version <= since) this.#next++;
  }
  static of({ target }: Exchange, truth: Truth, closed: () => void): FollowedWatch | undefined {
    const wanted = targetOf(target);
    const since = Number(wanted?.query.get('resourceVersion') ?? 0);
    if (!wanted || since === 0) return undefined; // begins with states, not with changes
    const { byPrefix } = truth.history;
    const commits = byPrefix.get(wanted.prefix) ?? [];
    byPrefix.set(wanted.prefix, commits);
    const fields = new Map(
      (wanted.query.get('fieldSelector') ?? '')
        .split(',')
        .filter(Boolean)
        .map((part) => part.split('=') as [string, string]),
    );
    const known = new Set(['metadata.name', 'spec.nodeName']);
    if ([...fields.keys()].some((name) => !known.has(name))) return undefined;
    const labels = parseLabelSelector(wanted.query.get('labelSelector') ?? '');
    const { namespace } = wanted;
    const isEverything = !namespace && fields.size === 0 && labels.length === 0;
    const selects = (commit: Commit): boolean => {
      if (isEverything) return true;
      const { metadata, spec } = commit.object as Commit['object'] & { spec?: { nodeName?: string } };
      if (namespace && metadata.namespace !== namespace) return false;
      if (fields.has('metadata.name') && metadata.name !== fields.get('metadata.name')) return false;
      if (fields.has('spec.nodeName') && (spec?.nodeName ?? '') !== fields.get('spec.nodeName')) return false;
      return matchesLabels(labels, metadata.labels);
    };
    return new FollowedWatch(target, commits, selects, truth, since, closed);
  }

  line(text: string): void {
    if (this.#isOver || text.trim() === '') return;
    const type = /^\{"type":"(\w+)"/.exec(text)?.[1];
    const version = Number(/"resourceVersion":"(\d+)"/.exec(text)?.[1] ?? 0);
    if (type === 'ERROR') {
      this.#isOver = true;
      if (!text.includes('"code":410')) this.#say(`ended with ${text.slice(0, 200)}`);
      return;
    }
    if (type === 'BOOKMARK') {
      const missing = this.#pending();
      if (missing && missing.version <= version)
        this.#say(`a bookmark at ${version} skips ${missing.key} at ${missing.version}`);
      return;
    }
    const expected = this.#pending();
    if (!expected) {
      this.#say(`told ${type} ${version}, where nothing more had changed`);
      return;
    }
    if (expected.version !== version) {
      this.#say(`told ${type} ${version} where ${expected.key} at ${expected.version} came next`);
      return;
    }
    const wanted = typeOf(expected, this.selects);
    if (wanted !== type) this.#say(`told ${type} for ${expected.key} at ${version}, which was ${wanted}`);
    this.#next++;
  }
  ends(): void {
    this.#isOver = true;
    this.closed();
  }
  mustBeCurrent(): void {
    const missing = this.#pending();
    if (!this.#isOver && missing && missing.atMs < this.truth.nowMs() - silenceMsMax)
      this.#say(`is silent about ${missing.key} at ${missing.version}`);
  }

  /** The next change that this watch has to tell. */
  #pending(): Commit | undefined {
    for (; this.#next < this.commits.length; this.#next++) {
      const commit = this.commits[this.#next]!;
      if (typeOf(commit, this.selects)) return commit;
    }
    return undefined;
  }
  #say(message: string): void {
    this.#isOver = true;
    this.truth.report('I4', `watch ${this.target}: ${message}`);
  }
}

function typeOf(commit: Commit, selects: (commit: Commit) => boolean): string | undefined {
  const now = commit.type === 'put' && selects(commit);
  const before = commit.previous !== undefined && selects(commit.previous);
  if (now) return before ? 'MODIFIED' : 'ADDED';
  return before ? 'DELETED' : undefined;
}
