import type { PodTemplateSpec } from '#sdk';

/** The label that keeps the pods of one template apart from those of the next. */
export const hashLabel = 'pod-template-hash';
// Without vowels and the digits that look like them: no word comes out by accident.
const alphabet = 'bcdfghjklmnpqrstvwxz2456789';

const withoutHash = (template: Readonly<PodTemplateSpec> | undefined): unknown => {
  const { [hashLabel]: _hash, ...labels } = template?.metadata?.labels ?? {};
  return { ...template, metadata: { ...template?.metadata, labels } };
};

/** The same pods would come of both: the label of the hash and how a field is absent do not count. */
export const sameTemplate = (
  a: Readonly<PodTemplateSpec> | undefined,
  b: Readonly<PodTemplateSpec> | undefined,
): boolean => canonical(withoutHash(a)) === canonical(withoutHash(b));

/** A name of ten letters for a template. `collisions` gives another one where a stranger's replica set has it. */
export function templateHash(template: Readonly<PodTemplateSpec>, collisions: number | undefined): string {
  let left =
    Bun.hash.xxHash64(canonical(withoutHash(template)), BigInt(collisions ?? 0)) % BigInt(alphabet.length) ** 10n;
  let text = '';
  for (let i = 0; i < 10; i++) {
    text += alphabet[Number(left % BigInt(alphabet.length))];
    left /= BigInt(alphabet.length);
  }
  return text;
}

/** Keys in order, what is empty left out. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, one: unknown) => {
    if (typeof one !== 'object' || one === null || Array.isArray(one)) return one === null ? undefined : one;
    const entries = Object.entries(one).filter(([, each]) => !isEmpty(each));
    return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
const isEmpty = (value: unknown): boolean =>
  value === undefined || value === null || (typeof value === 'object' && Object.keys(value).length === 0);
