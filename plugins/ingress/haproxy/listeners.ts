import { messageOf } from '#sdk';
import type { Listener } from '../model.ts';
import type { Rejected } from './tables.ts';

/**
 * Real ports for those that are wanted: one that is served now keeps its own, every other one is tried, so that a port that
 * somebody else has costs only its own listener.
 */
export function settleListeners(
  wanted: readonly Listener[],
  current: readonly Listener[],
): { listeners: Listener[]; rejected: Rejected[] } {
  const rejected: Rejected[] = [];
  const listeners: Listener[] = [];
  for (const listener of wanted) {
    const kept = current.find((one) => isSamePlace(one, listener));
    if (kept) {
      listeners.push({ ...listener, port: kept.port });
      continue;
    }
    try {
      const probe = Bun.listen({ hostname: listener.ip, port: listener.port, socket: { data() {} } });
      listeners.push({ ...listener, port: probe.port });
      probe.stop(true);
    } catch (error) {
      rejected.push({
        id: listener.name,
        reason: `${listener.ip}:${listener.port} cannot be had: ${messageOf(error)}`,
      });
    }
  }
  return { listeners, rejected };
}

const isSamePlace = (one: Listener, wanted: Listener): boolean =>
  one.ip === wanted.ip && (wanted.port === 0 ? one.name === wanted.name : one.port === wanted.port);
