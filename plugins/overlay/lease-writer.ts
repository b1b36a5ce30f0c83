import type { Client, Clock } from '#sdk';
import { type Condition, type HostLease, hostLeaseKind, type LeaseStatus, withCondition } from './kinds.ts';

export interface Published {
  readonly backend: string;
  readonly endpoint: string;
  readonly data: Readonly<Record<string, string>>;
  readonly mtuBytes: number;
  readonly offers: readonly {
    readonly backend: string;
    readonly endpoint: string;
    readonly data: Readonly<Record<string, string>>;
    readonly mtuBytes: number;
  }[];
}
export interface StatusDraft extends Omit<LeaseStatus, 'conditions'> {
  readonly states: readonly Omit<Condition, 'lastTransitionTime'>[];
}
const countsEveryMs = 30_000; // of a thousand hosts that join, each would otherwise tell a thousand counts
const namedMax = 64;

/** Writes this host's own lease, and only what has changed. Data that a peer needs is written at once, counts now and then. */
export class LeaseWriter {
  #countedAtMs = Number.NEGATIVE_INFINITY;
  constructor(private readonly seams: { readonly client: Client; readonly clock: Clock }) {}

  async publish(lease: Readonly<HostLease>, { offers, ...facts }: Published): Promise<void> {
    const { spec } = lease;
    const wanted = { ...facts, offers: offers.map((offer) => ({ ...offer })) };
    const known = {
      ...{ backend: spec.backend, endpoint: spec.endpoint, data: spec.data ?? {} },
      ...{ mtuBytes: spec.mtuBytes, offers: spec.offers ?? [] },
    };
    if (Bun.deepEquals(known, wanted)) return;
    // Names of data that are no longer there have to be said, or a merge keeps them.
    const gone = Object.fromEntries(Object.keys(spec.data ?? {}).map((name) => [name, null]));
    const body = { spec: { ...wanted, data: { ...gone, ...facts.data }, offers: offers.length > 0 ? offers : null } };
    await this.seams.client.patch(hostLeaseKind, { name: lease.metadata.name! }, { type: 'merge', body });
  }

  /** `former`: conditions keep the time of their last change. */
  async report(lease: Readonly<HostLease>, { states, ...draft }: StatusDraft, now: string): Promise<void> {
    const { clock, client } = this.seams;
    const former = lease.status ?? {};
    let conditions = (former.conditions ?? []) as Condition[];
    for (const state of states) conditions = withCondition(conditions, state, now) ?? conditions;
    const kept = new Set(states.map(({ type }) => type));
    conditions = conditions.filter(({ type }) => kept.has(type));
    const next: LeaseStatus = {
      ...draft,
      ...(draft.rejected ? { rejected: draft.rejected.slice(0, namedMax) } : {}),
      ...(draft.seen ? { seen: draft.seen.slice(0, namedMax) } : {}),
      conditions,
    };
    const isDue = clock.monotonicMs() - this.#countedAtMs >= countsEveryMs;
    if (Bun.deepEquals(isDue ? former : withoutCounts(former), isDue ? next : withoutCounts(next))) return;
    const gone = Object.fromEntries(Object.keys(former).map((name) => [name, null]));
    const body = { status: { ...gone, ...next } };
    await client.patch(
      hostLeaseKind,
      { name: lease.metadata.name! },
      { type: 'merge', body },
      { subresource: 'status' },
    );
    this.#countedAtMs = clock.monotonicMs();
  }
}

/** What is worth a write at any time. */
const withoutCounts = ({ peers, seen, observedGeneration, ...rest }: LeaseStatus): object => ({
  ...rest,
  unreachable: peers?.unreachable ?? [],
});
