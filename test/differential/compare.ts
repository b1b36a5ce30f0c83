/** Masks what must differ between two servers and finds what else does. Pure. */
export interface Difference {
  readonly at: string;
  readonly upstream: unknown;
  readonly ours: unknown;
}
const absent = '(absent)';
const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;
const age = /^(\d+(s|m|h|d|y))+$/;
const uid = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;
const maskedKeys: Readonly<Record<string, string>> = {
  resourceVersion: '<version>',
  uid: '<uid>',
  continue: '<continue>',
  nodePort: '<port>',
  healthCheckNodePort: '<port>',
  hash: '<hash>',
  storageVersionHash: '<hash>',
  serverAddress: '<address>',
  token: '<token>',
};

function maskText(text: string): string {
  if (time.test(text)) return '<time>';
  if (age.test(text)) return '<age>';
  return text
    .replace(uid, '<uid>')
    .replace(/\bkube-api-access-[a-z0-9]{5}\b/g, 'kube-api-access-<random>')
    .replace(/\b10\.96\.\d+\.\d+\b/g, '<ip>')
    .replace(/\bfd00:10:96::[0-9a-f]{1,4}\b/g, '<ip>')
    .replace(/(resource version:? )\d+( \(\d+\))?(, current: \d+)?/gi, '$1<version>')
    .replace(/(record \()\d+\)/, '$1<version>)')
    .replace(/\?hash=[0-9A-Fa-f]+/g, '?hash=<hash>');
}

const byManager = (a: unknown, b: unknown): number => {
  const [x, y] = [a, b].map((one) =>
    ['operation', 'manager', 'subresource'].map((name) => pick(one, name) ?? '').join(' '),
  );
  return x! < y! ? -1 : x! > y! ? 1 : 0;
};
export function mask(value: unknown, key = ''): unknown {
  if (typeof value === 'string') {
    if (value !== '' && Object.hasOwn(maskedKeys, key)) return maskedKeys[key];
    return maskText(value);
  }
  if (typeof value === 'number' && Object.hasOwn(maskedKeys, key) && value !== 0) return maskedKeys[key];
  if (Array.isArray(value)) {
    const list = value.map((element) => mask(element, key === 'clusterIPs' ? key : ''));
    // Their order is that of their times, which fall into the same second or not.
    return key === 'managedFields' ? list.sort(byManager) : list;
  }
  if (typeof value !== 'object' || value === null) return value;
  const out: Record<string, unknown> = {};
  for (const [name, inner] of Object.entries(value)) out[name] = mask(inner, name);
  const { generateName, name } = out;
  if (typeof generateName === 'string' && typeof name === 'string' && name.startsWith(generateName))
    out['name'] = `${generateName}<random>`;
  return out;
}

/** With mistakes and warnings in one order, wherever they came from. */
export function inOneOrder(status: unknown): unknown {
  if (typeof status === 'string')
    return status
      .split(/, (?=299 - )/)
      .sort()
      .join(', ');
  if (!isRecord(status)) return status;
  const { message, details } = status;
  const causes = isRecord(details) && Array.isArray(details['causes']) ? details['causes'] : undefined;
  const list = typeof message === 'string' ? /^(.*?is invalid: \[)(.*)\]$/s.exec(message) : undefined;
  return {
    ...status,
    ...(list
      ? {
          message: `${list[1]}${list[2]!
            .split(/, (?=(?:<nil>|[a-z][\w-]*(?:[.[][^ ]*)?): )/)
            .sort()
            .join(', ')}]`,
        }
      : {}),
    ...(causes && isRecord(details)
      ? {
          details: { ...details, causes: [...causes].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)) },
        }
      : {}),
  };
}

/** Every leaf in which the two differ. */
export function differences(upstream: unknown, ours: unknown, at: string): Difference[] {
  if (isRecord(upstream) && isRecord(ours)) {
    const keys = new Set([...Object.keys(upstream), ...Object.keys(ours)]);
    return [...keys].flatMap((key) =>
      differences(
        Object.hasOwn(upstream, key) ? upstream[key] : absent,
        Object.hasOwn(ours, key) ? ours[key] : absent,
        `${at}.${key}`,
      ),
    );
  }
  if (Array.isArray(upstream) && Array.isArray(ours)) {
    const [theirNames, ourNames] = [namesOf(upstream), namesOf(ours)];
    if (theirNames && ourNames) return differences(theirNames, ourNames, at);
    const found: Difference[] = [];
    for (let index = 0; index < Math.max(upstream.length, ours.length); index++)
      found.push(
        ...differences(
          index < upstream.length ? upstream[index] : absent,
          index < ours.length ? ours[index] : absent,
          `${at}[${index}]`,
        ),
      );
    return found;
  }
  return Object.is(upstream, ours) ? [] : [{ at, upstream, ours }];
}
/** A list of named things is compared by name, so that one that is missing is one difference; with the order as one more. */
function namesOf(list: readonly unknown[]): Record<string, unknown> | undefined {
  const named = new Map<string, unknown>();
  for (const element of list) {
    const record = isRecord(element) ? element : {};
    const metadata = isRecord(record['metadata']) ? record['metadata'] : {};
    const name = record['name'] ?? record['resource'] ?? record['subresource'] ?? metadata['name'];
    if (typeof name !== 'string' || named.has(name)) return undefined;
    named.set(name, element);
  }
  return list.length === 0 ? undefined : Object.fromEntries(named);
}
const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** `spec.ports.0.port` of a JSON value. */
export function pick(value: unknown, path: string): unknown {
  let found = value;
  for (const step of path.split('.'))
    found = isRecord(found) || Array.isArray(found) ? Reflect.get(found, step) : undefined;
  return found;
}
