import { networkNeed } from '#sdk';
import { podGrant } from '../host/rbac.ts';

type Needs = Readonly<Record<string, readonly string[]>>;
/** What a program was seen to ask of the API: resource → verbs. */
export type Use = ReadonlyMap<string, ReadonlySet<string>>;

const methods: Readonly<Record<string, readonly string[]>> = {
  get: ['get'],
  list: ['list'],
  create: ['create'],
  update: ['update'],
  patch: ['patch'],
  apply: ['patch'],
  delete: ['delete'],
};
const calls = new RegExp(
  `\\bapi(?:\\.(\\w+)|\\[\\s*["'\`]([^"'\`]+)["'\`]\\s*\\])\\s*\\.\\s*(${Object.keys(methods).join('|')})\\b`,
  'g',
);

/**
 * Reads what a program asks of the API from its text: `api.pods.list`, `api["leases.coordination.k8s.io"].get`,
 * `owns: ["pods"]`, `child("pods")`. `isDynamic`: it also uses `api` in ways that the text does not tell. Pure.
 */
export function useOf(texts: readonly string[]): { readonly use: Use; readonly isDynamic: boolean } {
  const use = new Map<string, Set<string>>();
  const note = (resource: string, verbs: readonly string[]): void => {
    const known = use.get(resource) ?? new Set<string>();
    for (const verb of verbs) known.add(verb);
    use.set(resource, known);
  };
  let isDynamic = false;
  for (const text of texts) {
    const code = new Bun.Transpiler({ loader: 'ts' }).transformSync(text); // no comments, no types
    let told = 0;
    for (const [, dotted, named, method] of code.matchAll(calls)) {
      note((dotted ?? named)!, methods[method!]!);
      told++;
    }
    for (const [, list] of code.matchAll(/\bowns\s*:\s*\[([^\]]*)\]/g))
      for (const [, resource] of list!.matchAll(/["'`]([^"'`]+)["'`]/g)) note(resource!, ['list', 'watch']);
    for (const [, resource] of code.matchAll(/\bchild\(\s*["'`]([^"'`]+)["'`]/g)) note(resource!, ['create']);
    for (const [, verb, resource] of code.matchAll(/\b(validate|mutate)\(\s*["'`]([^"'`]+)["'`]/g))
      note(resource!, [verb!]);
    const mentions = code.match(/\bapi\b(?=\s*[.[()\s,])/g)?.length ?? 0;
    const handed = code.match(/\bapi\s*[,}]/g)?.length ?? 0; // in a parameter list
    if (mentions - handed > told) isDynamic = true;
  }
  return { use, isDynamic };
}

/** `pods: watch` that is declared and not used, and the other way round. Pure. */
export function needsAgainstUse(needs: Needs, use: Use): { readonly unused: string[]; readonly undeclared: string[] } {
  const lacking = (resource: string, verbs: readonly string[]) =>
    verbs.length > 0 ? [`${resource}: ${verbs.join(', ')}`] : [];
  return {
    unused: Object.entries(needs).flatMap(([resource, verbs]) =>
      resource === networkNeed
        ? []
        : lacking(
            resource,
            verbs.filter((verb) => verb !== podGrant && !use.get(resource)?.has(verb)), // no call tells that one
          ),
    ),
    undeclared: [...use].flatMap(([resource, verbs]) =>
      lacking(
        resource,
        [...verbs].filter((verb) => !needs[resource]?.includes(verb)),
      ),
    ),
  };
}
