import { type LabelSelector, type Selector, selectorOf } from '#api';

/** Parsed once for each selector object: objects of the cache do not change. */
const parsed = new WeakMap<LabelSelector, Selector>();
export function parsedSelector(selector: Readonly<LabelSelector>): Selector {
  let known = parsed.get(selector);
  if (!known) parsed.set(selector, (known = selectorOf(selector)));
  return known;
}
