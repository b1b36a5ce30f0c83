import { type HostLease, type OverlayNetwork, rotateAnnotation } from './kinds.ts';

export interface RotationState {
  /** When this host's keys changed last (RFC 3339). */
  readonly lastTime?: string;
  /** What was asked for and has been answered. */
  readonly request?: string;
}
const hourMs = 3_600_000;
const spreadPart = 0.05; // hosts that started together do not all begin at once: who is first takes the others along

/** What people ask for now, by annotations of this host's lease and of the network. */
export const requestOf = (network: Readonly<OverlayNetwork>, lease: Readonly<HostLease>): string =>
  [network, lease].map(({ metadata }) => metadata.annotations?.[rotateAnnotation] ?? '').join('/');

/** Whether this host is to begin a rotation of keys now, and why. `share`: of this host, in [0, 1). Pure. */
export function rotationDue(
  network: Readonly<OverlayNetwork>,
  lease: Readonly<HostLease>,
  state: RotationState | undefined,
  nowMs: number,
  share: number,
): 'asked' | 'age' | undefined {
  if (!state?.lastTime) return undefined; // keys of a host that has just come are new
  if (requestOf(network, lease) !== (state.request ?? '/')) return 'asked';
  const hours = network.spec.rotationHours ?? 24;
  const ageMs = nowMs - Date.parse(state.lastTime);
  return hours > 0 && ageMs >= hours * hourMs * (1 + share * spreadPart) ? 'age' : undefined;
}
