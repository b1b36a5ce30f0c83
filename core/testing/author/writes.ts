/** A write of the plugin under test, in the words that a report names it by. */
export interface Write {
  /** From 1, in the order in which they were carried out. */
  readonly number: number;
  readonly atMs: number;
  /** `create pods in default`. */
  readonly text: string;
}
const verbs: Readonly<Record<string, string>> = { POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' };

/** `POST /api/v1/namespaces/default/pods` → `create pods in default`. Pure. */
export function writeText(method: string, target: string): string {
  const path = target.split('?')[0]!.split('/').filter(Boolean);
  const rest = path.slice(path[0] === 'api' ? 2 : 3);
  const inNamespace = rest[0] === 'namespaces' && rest.length > 2;
  const [plural = target, name, subresource] = inNamespace ? rest.slice(2) : rest;
  const where = inNamespace ? ` in ${rest[1]}` : '';
  const what = name ? `${plural}/${name}` : plural;
  return `${verbs[method] ?? method.toLowerCase()} ${what}${subresource ? ` (${subresource})` : ''}${where}`;
}

/** Writes that count: events are said, not decided upon. Pure. */
export const isWrite = (method: string, target: string): boolean =>
  method !== 'GET' && !/\/events(\?|\/|$)/.test(target);

/** The first write of `later` that `first` does not have, or has less often; names that the server made count as one. Pure. */
export function firstNew(first: readonly Write[], later: readonly Write[]): Write | undefined {
  const left = new Map<string, number>();
  for (const { text } of first) left.set(plain(text), (left.get(plain(text)) ?? 0) + 1);
  return later.find(({ text }) => {
    const count = left.get(plain(text)) ?? 0;
    left.set(plain(text), count - 1);
    return count === 0;
  });
}
const plain = (text: string): string => text.replace(/-[a-z0-9]{5}\b/g, '-*');
