import { defaultTimeouts } from '../model.ts';
import { classOf } from './names.ts';

/**
 * HAProxy cannot make a backend at run time, only servers within one. So the configuration has places without servers, and a
 * backend of the routing gets one of its class. A place that was left rests before somebody else gets it: a request that
 * chose it a moment ago may still be looking for a server.
 */
export interface Slots {
  /** Backend → place, such as `p2000r3-12`. */
  readonly places: ReadonlyMap<string, string>;
  /** Class → how many places the configuration has. */
  readonly sizes: ReadonlyMap<string, number>;
  /** Places that were left → when they can be had again (monotonic milliseconds). */
  readonly resting: ReadonlyMap<string, number>;
}
export interface SlotRequest {
  readonly backend: string;
  readonly class: string;
}
const spares = { usual: 32, other: 4 };
const restMs = 60_000;
const defaultRetries = 2;
const usual = { timeouts: defaultTimeouts, connectRetries: defaultRetries };
const usualClass = classOf({ protocol: 'http1', ...usual }, false);
/** Of the usual classes there are places from the beginning, so that what is usual needs no other configuration. */
export const noSlots: Slots = {
  places: new Map(),
  sizes: new Map([
    [usualClass, spares.usual],
    [classOf({ protocol: 'http1', ...usual }, true), spares.other],
    [classOf({ protocol: 'grpc', ...usual }, false), spares.other],
  ]),
  resting: new Map(),
};

export const placeOf = (className: string, index: number): string => `${className}-${index}`;
export const classOfPlace = (place: string): string => place.slice(0, place.lastIndexOf('-'));

/**
 * Gives each backend a place, the one it has where it can. `grown`: places were missing, so that the sizes are other ones and
 * a new configuration is needed; it has spare places again. Pure.
 */
export function assignSlots(
  former: Slots,
  wanted: readonly SlotRequest[],
  nowMs: number,
): { slots: Slots; grown: boolean } {
  const resting = new Map([...former.resting].filter(([, until]) => until > nowMs));
  const places = new Map<string, string>();
  for (const { backend, class: className } of wanted) {
    const place = former.places.get(backend);
    if (place !== undefined && classOfPlace(place) === className) places.set(backend, place);
  }
  for (const [backend, place] of former.places) if (places.get(backend) !== place) resting.set(place, nowMs + restMs);
  const taken = new Set(places.values());
  const sizes = new Map(former.sizes);
  const next = new Map<string, number>();
  let grown = false;
  for (const { backend, class: className } of wanted) {
    if (places.has(backend)) continue;
    let index = next.get(className) ?? 0;
    while (taken.has(placeOf(className, index)) || resting.has(placeOf(className, index))) index++;
    next.set(className, index + 1);
    const place = placeOf(className, index);
    places.set(backend, place);
    taken.add(place);
    grown ||= index >= (sizes.get(className) ?? 0);
  }
  if (!grown) return { slots: { places, sizes, resting }, grown };
  return { slots: { places, sizes: sizesFor(taken, sizes), resting }, grown };
}

/** A quarter more than are used, so that a cluster that grows is seldom given a new configuration. */
function sizesFor(taken: ReadonlySet<string>, former: ReadonlyMap<string, number>): Map<string, number> {
  const highest = new Map<string, number>();
  for (const place of taken) {
    const [className, index] = [classOfPlace(place), Number(place.slice(place.lastIndexOf('-') + 1))];
    highest.set(className, Math.max(highest.get(className) ?? 0, index + 1));
  }
  const sizes = new Map<string, number>();
  for (const [className, size] of former) sizes.set(className, size);
  for (const [className, used] of highest) {
    const spare = Math.max(className === usualClass ? spares.usual : spares.other, Math.ceil(used / 4));
    const before = former.get(className) ?? 0;
    sizes.set(className, used > before ? used + spare : before);
  }
  return sizes;
}
