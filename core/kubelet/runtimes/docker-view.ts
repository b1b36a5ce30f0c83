import { type Clock, type Log, messageOf } from '#base';
import { ChangeFeed } from './change-feed.ts';
import type { FailedStarts } from './docker-dialect.ts';
import { type DockerEngine, type InspectedContainer, inspectContainer } from './docker-engine.ts';
import { isStatus } from './docker-images.ts';
import type { DockerMemory } from './docker-memory.ts';
import { labels } from './docker-specs.ts';
import { type ListedContainer, rowOf } from './docker-states.ts';

// Nobody but us creates what has our labels. Podman filters by the last two and tells the first `die`.
const changeActions = ['start', 'die', 'oom', 'destroy', 'died', 'remove'];
const lagLookMs = 20;
const lagLooksMax = 5; // 620 ms together
export const inspectionsAtOnceMax = 16;

interface Seen {
  readonly row: ListedContainer;
  readonly details: InspectedContainer;
}

/** What one cluster's containers at an engine are: asked for whole, or only what its events say has changed. */
export class DockerView {
  readonly #feed = new ChangeFeed();

  constructor(
    readonly engine: DockerEngine,
    readonly options: { readonly clusterId: string; readonly clock: Clock; readonly log: Log },
    readonly memory: DockerMemory,
    readonly failedStarts: FailedStarts,
  ) {}

  list(podUid?: string): Promise<ListedContainer[]> {
    const wanted = [`${labels.cluster}=${this.options.clusterId}`, ...(podUid ? [`${labels.podUid}=${podUid}`] : [])];
    return this.engine.call<ListedContainer[]>('GET', '/containers/json', {
      query: { all: true, filters: { label: wanted } },
    });
  }

  /** Without those that are on their way out, and without those that were gone when they were inspected. */
  async rows(podUid?: string): Promise<Seen[]> {
    const known = podUid === undefined ? undefined : this.memory.idsOf(podUid);
    const seen = known ? await this.#known(known) : await this.#listed(podUid);
    return seen.filter(({ row }) => row.State !== 'removing');
  }

  /** While the engine's events come in, a pod's containers are those that we made: no list, and only what changed is inspected. */
  async #known(ids: readonly string[]): Promise<Seen[]> {
    const all = await Promise.all(ids.map((id) => this.memory.detailsOf(id) ?? this.#inspect(id)));
    return all.flatMap((details) => (details ? [{ row: rowOf(details), details }] : []));
  }

  async #listed(podUid: string | undefined): Promise<Seen[]> {
    const asked = this.memory.mark();
    const rows = await this.list(podUid);
    const found = new Map<ListedContainer, InspectedContainer>();
    await eachAtMost(inspectionsAtOnceMax, rows, async (row) => {
      const kept = this.memory.detailsOf(row.Id);
      const details = kept?.State.Status === row.State ? kept : await this.#inspect(row.Id);
      if (details) found.set(row, details);
    });
    this.memory.listed(podUid, rows, asked);
    return rows.flatMap((row) => (found.has(row) ? [{ row, details: found.get(row)! }] : []));
  }

  async #inspect(id: string): Promise<InspectedContainer | undefined> {
    try {
      let details = await inspectContainer(this.engine, id);
      for (let tries = 0; this.memory.lags(details) && tries < lagLooksMax; tries++) {
        await this.options.clock.sleep(lagLookMs * 2 ** tries); // else it would be taken for running until the next list
        details = await inspectContainer(this.engine, id);
      }
      details = this.failedStarts.shown(details);
      this.memory.keep(details);
      return details;
    } catch (error) {
      if (!isStatus(error, 404)) throw error;
      this.memory.forget(id);
      return undefined;
    }
  }

  /** Ends when the engine closes its stream of events, or when the signal does. */
  changes(signal: AbortSignal): AsyncIterable<{ podUid: string }> {
    const lost = new AbortController();
    const hints = this.#feed.subscribe(AbortSignal.any([signal, lost.signal]));
    void this.#readEvents(signal).finally(() => lost.abort());
    return hints;
  }

  async #readEvents(signal: AbortSignal): Promise<void> {
    const { engine, options } = this;
    const filters = { type: ['container'], event: changeActions, label: [`${labels.cluster}=${options.clusterId}`] };
    try {
      const lines = engine.lines('/events', { query: { filters }, signal }, () => this.memory.sighted());
      for await (const line of lines) this.#onEvent(line);
    } catch (error) {
      if (!signal.aborted)
        options.log.warn('the container engine closed its event stream', { error: messageOf(error) });
    }
    this.memory.blind(); // whatever happens from here on goes unseen
  }

  #onEvent(line: string): void {
    if (line.trim() === '') return;
    const event = JSON.parse(line) as {
      Action?: string;
      Actor?: { ID?: string; Attributes?: Record<string, string> };
    };
    const podUid = event.Actor?.Attributes?.[labels.podUid];
    if (event.Actor?.ID && this.memory.onEvent(event.Actor.ID, event.Action ?? '') && podUid)
      this.#feed.publish(podUid);
  }
}

export async function eachAtMost<T>(
  limit: number,
  items: readonly T[],
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = items.values();
  const worker = async () => {
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
}
