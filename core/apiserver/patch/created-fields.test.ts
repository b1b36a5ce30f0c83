import { expect, test } from 'bun:test';
import { builtinKinds, type Field, facts } from '#api';
import { type Random, seededRandom } from '#base';
import type { JsonObject } from '../contract.ts';
import { createdFields } from './created-fields.ts';
import { ownable } from './managed.ts';
import { compare, rootShape } from './typed.ts';

const depthMax = 6;

/** Any value of this field: nulls, empty structs and repeated keys of lists are as likely as whole ones. */
function anyValue(field: Field, random: Random, depth: number): unknown {
  const chance = random.next();
  if (chance < 0.05) return null;
  if (field.type === 'ref') return chance < 0.15 || depth >= depthMax ? {} : structOf(field.ref!, random, depth + 1);
  if (field.type === 'array')
    return Array.from({ length: Math.floor(random.next() * 3) }, () => anyValue(field.items!, random, depth + 1));
  if (field.type === 'map')
    return Object.fromEntries(
      Array.from({ length: Math.floor(random.next() * 3) }, (_, at) => [
        `k${at}`,
        anyValue(field.items!, random, depth + 1),
      ]),
    );
  if (field.type === 'integer' || field.type === 'number') return Math.floor(random.next() * 3);
  if (field.type === 'boolean') return random.next() < 0.5;
  return ['', 'a', 'b'][Math.floor(random.next() * 3)];
}
function structOf(typeId: string, random: Random, depth: number): JsonObject {
  const fields = Object.entries(facts().types[typeId]?.fields ?? {});
  const share = Math.min(1, 5 / Math.max(1, fields.length));
  const result: JsonObject = {};
  for (const [name, field] of fields) if (random.next() < share) result[name] = anyValue(field, random, depth);
  return result;
}

test('who creates owns what a comparison with nothing finds', () => {
  const random = seededRandom(7);
  let owned = 0;
  for (const kind of builtinKinds)
    for (let round = 0; round < 6; round++) {
      const made = structOf(kind.type, random, 0);
      const metadata = structOf('io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta', random, 0);
      const object = {
        ...made,
        apiVersion: 'v1',
        kind: kind.kind,
        metadata: { ...metadata, managedFields: undefined },
      };
      const { changed } = compare(rootShape(kind.type), { metadata: {} }, { ...object, status: undefined });
      const expected = ownable(changed, '');
      const fields = createdFields(kind.type, object);
      expect(JSON.stringify(fields ?? {})).toBe(JSON.stringify(expected.toJson()));
      if (fields) owned++;
    }
  expect(owned).toBeGreaterThan(150);
});
