import type { Container, Pod, Quantity } from './gen/types.ts';
import { canonicalQuantity, parseNano } from './quantity.ts';

/** Sums of quantities that keep the form (binary or decimal) of what was added first. */
export type Amounts = Record<string, Quantity>;
type List = Readonly<Record<string, Quantity>> | undefined;

export function addQuantities(a: Quantity, b: Quantity): Quantity {
  return formatNano((parseNano(a) ?? 0n) + (parseNano(b) ?? 0n), isBinary(a) || (isZero(a) && isBinary(b)));
}
export function subtractQuantities(a: Quantity, b: Quantity): Quantity {
  return formatNano((parseNano(a) ?? 0n) - (parseNano(b) ?? 0n), isBinary(a));
}
export const compareQuantities = (a: Quantity, b: Quantity): number => {
  const [left, right] = [parseNano(a) ?? 0n, parseNano(b) ?? 0n];
  return left < right ? -1 : left > right ? 1 : 0;
};
const isBinary = (text: string): boolean => text.endsWith('i');
const isZero = (text: string): boolean => (parseNano(text) ?? 0n) === 0n;
function formatNano(nano: bigint, binary: boolean): Quantity {
  const whole = nano % 1_000_000_000n === 0n;
  if (!binary || !whole) return canonicalQuantity(`${nano}n`);
  const units = nano / 1_000_000_000n;
  return units % 1024n === 0n ? canonicalQuantity(`${units / 1024n}Ki`) : `${units}`;
}

export function addTo(sum: Amounts, more: List): void {
  for (const [name, value] of Object.entries(more ?? {}))
    sum[name] = sum[name] === undefined ? value : addQuantities(sum[name], value);
}
function raiseTo(sum: Amounts, least: List): void {
  for (const [name, value] of Object.entries(least ?? {}))
    if (sum[name] === undefined || compareQuantities(value, sum[name]) > 0) sum[name] = value;
}

/** What a pod asks for, or may use, in all: its containers together, or its largest init container when that is more. */
export function podTotals(pod: Readonly<Pod>, list: 'requests' | 'limits'): Amounts {
  const sum: Amounts = {};
  const sidecars: Amounts = {};
  const first: Amounts = {};
  for (const container of pod.spec?.containers ?? []) addTo(sum, container.resources?.[list]);
  for (const container of pod.spec?.initContainers ?? []) {
    const own = (container as Container).resources?.[list];
    if (container.restartPolicy === 'Always') {
      addTo(sum, own);
      addTo(sidecars, own);
      raiseTo(first, sidecars);
    } else {
      const together = { ...sidecars };
      addTo(together, own);
      raiseTo(first, together);
    }
  }
  raiseTo(sum, first);
  for (const name of ['cpu', 'memory']) {
    const whole = pod.spec?.resources?.[list]?.[name];
    if (whole !== undefined) sum[name] = whole;
  }
  addTo(sum, list === 'requests' ? pod.spec?.overhead : undefined);
  return sum;
}
