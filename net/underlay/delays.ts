import { delayedPort } from './cuts.ts';
import type { UnderlayHost } from './plan.ts';

/** Where a host's packets are held back: a bridge with its port, and a process that carries frames between two taps. */
export const heldBridge = (host: UnderlayHost): string => `${host.port}-held`;
export const heldTap = (host: UnderlayHost): string => `${host.port}-tap`;

/** For `ip -batch` in the middle, once the process has made both taps. */
export const holdBatch = (host: UnderlayHost): string =>
  [
    `link add ${heldBridge(host)} type bridge`,
    `link set dev ${heldBridge(host)} up`,
    `link set dev ${heldTap(host)} master ${heldBridge(host)} up`,
    `link set dev ${delayedPort(host.port)} master ${host.segment} up`,
    `link set dev ${host.port} master ${heldBridge(host)}`,
    '',
  ].join('\n');

/** For `ip -force -batch` in the middle: straight to the segment again. The taps go with their process. */
export const releaseBatch = (host: UnderlayHost): string =>
  [`link set dev ${host.port} master ${host.segment}`, `link delete dev ${heldBridge(host)}`, ''].join('\n');
