import { isIP } from 'node:net';
import { canonicalCidr, messageOf } from '#sdk';
import type { Limits, Listener } from '../model.ts';
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
    if (isIP(listener.ip) === 0) {
      rejected.push({ id: listener.name, reason: 'it has no proper address' });
      continue;
    }
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

/** Limits as they can stand in a configuration. Throws for a number that is none: nothing can be served with it. */
export function settleLimits(limits: Limits): { limits: Limits; rejected: Rejected[] } {
  for (const [name, value] of Object.entries(limits))
    if (name !== 'trustedProxies' && !(Number.isSafeInteger(value) && value > 0))
      throw new Error(`the limit ${name} is no number above 0`);
  const trustedProxies = limits.trustedProxies
    .map((text) => (isIP(text) > 0 ? text : canonicalCidr(text)))
    .filter((range) => range !== undefined);
  const isWhole = trustedProxies.length === limits.trustedProxies.length;
  return {
    limits: { ...limits, trustedProxies },
    rejected: isWhole ? [] : [{ id: 'trustedProxies', reason: 'a range of addresses is none' }],
  };
}
