/** Structured logs: one JSON object a line on stderr, or nothing at all in tests. Never a secret in a field. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export interface Log {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
  /** A log whose lines all carry these fields. */
  with(fields: Readonly<Record<string, unknown>>): Log;
}

const rank: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 };

export function createLog(
  write: (line: string) => void,
  options: {
    readonly level?: LogLevel;
    readonly now: () => number;
    readonly fields?: Readonly<Record<string, unknown>>;
  },
): Log {
  const minimum = rank[options.level ?? 'info'];
  const emit = (level: LogLevel) => (message: string, fields?: Readonly<Record<string, unknown>>) => {
    if (rank[level] < minimum) return;
    const line = { time: new Date(options.now()).toISOString(), level, message, ...options.fields, ...fields };
    write(JSON.stringify(line, (_key, value) => (value instanceof Error ? value.message : value)));
  };
  return {
    debug: emit('debug'),
    info: emit('info'),
    warn: emit('warn'),
    error: emit('error'),
    with: (fields) => createLog(write, { ...options, fields: { ...options.fields, ...fields } }),
  };
}

export const silentLog: Log = createLog(() => {}, { now: () => 0, level: 'error' });
