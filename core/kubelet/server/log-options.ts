/** PodLogOptions as a kubelet reads them from its query. */
export interface LogQuery {
  readonly follow: boolean;
  readonly previous: boolean;
  readonly timestamps: boolean;
  readonly sinceMs?: number;
  readonly tailLines?: number;
  readonly limitBytes?: number;
  readonly stream: 'All' | 'Stdout' | 'Stderr';
}

/** A sentence instead of options when the query is malformed. */
export function parseLogQuery(query: URLSearchParams, nowMs: number): LogQuery | string {
  const numbers: Record<string, number | undefined> = {};
  for (const [name, least] of [
    ['tailLines', 0],
    ['sinceSeconds', 1],
    ['limitBytes', 1],
  ] as const) {
    const text = query.get(name);
    if (text === null || text === '') continue;
    const value = Number(text);
    if (!Number.isSafeInteger(value) || value < least) return `${name} must be an integer of at least ${least}`;
    numbers[name] = value;
  }
  const sinceTime = query.get('sinceTime');
  const sinceTimeMs = sinceTime ? Date.parse(sinceTime) : undefined;
  if (sinceTimeMs !== undefined && Number.isNaN(sinceTimeMs)) return 'sinceTime must be an RFC 3339 time';
  if (sinceTimeMs !== undefined && numbers['sinceSeconds'] !== undefined)
    return 'at most one of `sinceTime` or `sinceSeconds` may be specified';
  const stream = query.get('stream') || 'All';
  if (stream !== 'All' && stream !== 'Stdout' && stream !== 'Stderr') return `invalid stream type "${stream}"`;
  return {
    follow: isTrue(query.get('follow')),
    previous: isTrue(query.get('previous')),
    timestamps: isTrue(query.get('timestamps')),
    sinceMs: numbers['sinceSeconds'] === undefined ? sinceTimeMs : nowMs - numbers['sinceSeconds'] * 1000,
    tailLines: numbers['tailLines'],
    limitBytes: numbers['limitBytes'],
    stream,
  };
}

const isTrue = (text: string | null): boolean => text !== null && text !== 'false' && text !== '0';
