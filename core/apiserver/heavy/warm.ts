import { apiVersionOf } from '#api';
import type { CachedObject } from '../cached-object.ts';
import type { AnyKind, HeavyWork } from '../contract.ts';
import type { Encodings } from '../protobuf/encodings.ts';

/** Fewer are encoded on the loop: 20 us each and more. */
const fromObjects = 200;
/** Of one task: 4 MB of JSON go to the thread and 2 come back. */
const objectsMax = 2_000;
const under = new WeakMap<Encodings, Promise<void>>();

/** Makes the protobuf forms that a list needs and nobody needed before, away from the loop. */
export async function warm(
  encodings: Encodings,
  kind: AnyKind,
  objects: readonly CachedObject[],
  heavy: HeavyWork,
): Promise<void> {
  if (objects.length < fromObjects) return;
  // One list after the other: two that begin together need the same forms.
  for (let other = under.get(encodings); other; other = under.get(encodings)) await other.catch(() => {});
  const work = encodeMissing(encodings, kind, objects, heavy);
  under.set(encodings, work);
  try {
    await work;
  } finally {
    if (under.get(encodings) === work) under.delete(encodings);
  }
}

async function encodeMissing(
  encodings: Encodings,
  kind: AnyKind,
  objects: readonly CachedObject[],
  heavy: HeavyWork,
): Promise<void> {
  const missing = objects.filter((object) => !encodings.keeps(object));
  if (missing.length < fromObjects) return;
  const head = Buffer.from(`{"apiVersion":"${apiVersionOf(kind)}","kind":"${kind.kind}List","items":[`);
  for (let from = 0; from < missing.length; from += objectsMax) {
    const some = missing.slice(from, from + objectsMax);
    const parts: Uint8Array[] = [head];
    for (const [index, { bytes }] of some.entries()) {
      if (index > 0) parts.push(comma);
      parts.push(bytes);
    }
    parts.push(end);
    encodings.keepAll(some, await heavy.run({ type: 'protobuf', json: Buffer.concat(parts) }));
  }
}
const comma = Buffer.from(',');
const end = Buffer.from(']}');
