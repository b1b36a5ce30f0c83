import { type HostLease, isReadyLease, type OverlaySettings, type OverlayStatus } from './kinds.ts';
import { factsOf, markOf } from './plan-peers.ts';

type Move = Pick<OverlayStatus, 'backend' | 'phase' | 'next' | 'previous' | 'waitingFor'>;
const namedMax = 20;

export interface MigrationInput {
  readonly settings: Pick<OverlaySettings, 'backend'>;
  readonly status: Readonly<Move>;
  readonly leases: readonly Readonly<HostLease>[];
  /** Hosts that are heard of: one that is down must not hold up the others, and does what holds when it is back. */
  isLive(name: string): boolean;
}

/** What a host must have ready in this state, and by what it sends. */
export interface Duties {
  readonly send: string;
  /** In addition to `send`: what comes by these is accepted. */
  readonly receive: readonly string[];
}
export function dutiesOf({ backend, phase, next }: Readonly<Move>): Duties | undefined {
  if (!backend) return undefined;
  if (phase === 'Preparing' && next) return { send: backend, receive: [next] };
  if (phase === 'Switching' && next) return { send: next, receive: [backend] };
  return { send: backend, receive: [] };
}

/**
 * One step of the move from a backend to another, or the state as it is. Nobody sends by the next backend before everybody
 * accepts it and can reach everybody by it, and nobody drops the former one before everybody sends by the next: no packet is without a way. A wish that is
 * taken back before the switch is undone at once; one that comes later waits until this move is through. Pure.
 */
export function planMigration({ settings, status, leases, isLive }: MigrationInput): Move {
  const wanted = settings.backend ?? 'wireguard';
  const { backend, next, previous, phase = 'Settled' } = status;
  if (!backend) return { backend: wanted, phase: 'Settled' };
  const live = leases.filter(({ metadata }) => isLive(metadata.name!));
  const lacking = (isDone: (lease: Readonly<HostLease>) => boolean): string[] =>
    live.filter((lease) => !isDone(lease)).map(({ metadata }) => metadata.name!);
  const stay = (waiting: readonly string[]): Move => ({
    ...{ backend, phase },
    ...(next ? { next } : {}),
    ...(previous ? { previous } : {}),
    ...(waiting.length > 0 ? { waitingFor: [...waiting].sort().slice(0, namedMax) } : {}),
  });
  if (phase === 'Settled') return wanted === backend ? stay([]) : { backend, phase: 'Preparing', next: wanted };
  if (phase === 'Preparing') {
    if (wanted !== next) return { backend, phase: 'Removing', ...(next ? { previous: next } : {}) };
    const knowsAll = peersKnown(leases, next ?? '');
    const reachesAll = (lease: Readonly<HostLease>) => !(appliedOf(lease, next)?.refused ?? []).some(isLive);
    const waiting = lacking((lease) => isReadyLease(lease) && knowsAll(lease) && reachesAll(lease));
    return waiting.length > 0 ? stay(waiting) : { backend, phase: 'Switching', next };
  }
  if (phase === 'Switching' && next) {
    const waiting = lacking((lease) => isReadyLease(lease) && appliedOf(lease, next)?.sends === true);
    return waiting.length > 0 ? stay(waiting) : { backend: next, phase: 'Removing', previous: backend };
  }
  const waiting = previous ? lacking((lease) => appliedOf(lease, previous) === undefined) : [];
  return waiting.length > 0 ? stay(waiting) : { backend, phase: 'Settled' };
}

const appliedOf = ({ status }: Readonly<HostLease>, backend: string | undefined) =>
  status?.applied?.find((one) => one.backend === backend);

/** Whether a host has made the backend ready, and accepts every other one that has by what it says now. */
function peersKnown(leases: readonly Readonly<HostLease>[], backend: string): (lease: Readonly<HostLease>) => boolean {
  const marks = new Map<string, number>();
  for (const lease of leases) {
    const facts = factsOf(lease, backend);
    const node = lease.metadata.name!;
    if (facts) marks.set(node, markOf([{ node, ...facts }]));
  }
  const all = [...marks.values()].reduce((sum, mark) => sum ^ mark, 0);
  return (lease) => {
    const own = marks.get(lease.metadata.name!);
    return own !== undefined && appliedOf(lease, backend)?.peersMark === String((all ^ own) >>> 0);
  };
}
