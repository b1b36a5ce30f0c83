import type { InspectedContainer } from './docker-engine.ts';
import { type Labels, labels } from './docker-specs.ts';

/**
 * What is known of the engine's containers without asking it. Trusted only while its events come in: everything that
 * changes a container by itself is told there, and what this process does it notes here.
 */
export class DockerMemory {
  /** Ids of a pod's containers; a pod that is missing must be asked for. */
  readonly #pods = new Map<string, Set<string>>();
  readonly #details = new Map<string, InspectedContainer>();
  /** Told to have ended: the engine may go on to show them running for a moment. */
  readonly #ended = new Set<string>();
  /** Started by this process: their event is no news. */
  readonly #started = new Set<string>();
  #sighted = false;
  /** Counts what changed the sets, so that a list asked for before is not believed after. */
  #changes = 0;

  /** Events come in from now on. What is known from before may be old. */
  sighted(): void {
    this.blind();
    this.#sighted = true;
  }
  blind(): void {
    this.#sighted = false;
    for (const each of [this.#pods, this.#details, this.#ended, this.#started]) each.clear();
    this.#changes++;
  }

  idsOf(podUid: string): readonly string[] | undefined {
    const ids = this.#sighted ? this.#pods.get(podUid) : undefined;
    return ids && [...ids];
  }
  detailsOf(id: string): InspectedContainer | undefined {
    return this.#details.get(id);
  }
  /** The engine still shows it running and has told of its end. */
  lags(details: InspectedContainer): boolean {
    return details.State.Status === 'running' && this.#ended.has(details.Id);
  }
  keep(details: InspectedContainer): void {
    if (this.#sighted && !this.lags(details)) this.#details.set(details.Id, details);
  }

  /** `first`: the pod's first sandbox, before which it had nothing. */
  created(podUid: string, id: string, first: boolean): void {
    this.#changes++;
    const ids = this.#pods.get(podUid);
    if (ids) ids.add(id);
    else if (first) this.#pods.set(podUid, new Set([id]));
  }
  starts(id: string): void {
    if (this.#sighted) this.#started.add(id);
    this.#ended.delete(id);
    this.drop(id);
  }
  /** Its state has changed. */
  drop(id: string): void {
    this.#details.delete(id);
  }
  /** It is gone. */
  forget(id: string): void {
    this.drop(id);
    this.#ended.delete(id);
    this.#started.delete(id);
    this.#changes++;
    for (const [uid, ids] of this.#pods) if (ids.delete(id) && ids.size === 0) this.#pods.delete(uid);
  }
  forgetPod(podUid: string): void {
    this.#changes++;
    this.#pods.delete(podUid);
  }

  mark(): number {
    return this.#changes;
  }
  /** A list, asked for at `mark`: of one pod, or of all when `podUid` is undefined. */
  listed(podUid: string | undefined, rows: readonly { Id: string; Labels: Labels }[], mark: number): void {
    if (mark !== this.#changes) return;
    if (podUid === undefined) {
      this.#pods.clear();
      const alive = new Set(rows.map(({ Id }) => Id));
      for (const id of this.#details.keys()) if (!alive.has(id)) this.#details.delete(id);
    } else this.#pods.set(podUid, new Set());
    for (const { Id, Labels } of rows) {
      const uid = Labels[labels.podUid] ?? '';
      const ids = this.#pods.get(uid) ?? new Set();
      this.#pods.set(uid, ids.add(Id));
    }
  }

  /** False: nothing that anybody else must hear of. */
  onEvent(id: string, action: string): boolean {
    if (action === 'start') {
      if (this.#started.has(id)) return false;
      this.#ended.delete(id);
    } else {
      this.#started.delete(id);
      if (action === 'die') this.#ended.add(id);
      else if (action === 'destroy' || action === 'remove') this.#ended.delete(id); // by either engine's name
    }
    this.drop(id);
    return true;
  }
}
