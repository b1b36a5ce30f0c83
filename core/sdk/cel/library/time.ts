import { method, type Overload } from '../overload.ts';
import * as t from '../types.ts';
import { type CelDuration, type CelTimestamp, failure, intOf } from '../values.ts';

interface Parts {
  readonly year: number;
  readonly month: number;
  readonly date: number;
  readonly hours: number;
  readonly minutes: number;
  readonly seconds: number;
  readonly day: number;
  readonly dayOfYear: number;
}
const dayMs = 86_400_000;

/** Wall clock in a zone: `+02:00`, `-7:30`, or a name such as Europe/Paris; UTC without one. */
function partsOf({ nanos }: CelTimestamp, zone?: string): Parts {
  const ms = Number(nanos / 1_000_000n) - (nanos < 0n && nanos % 1_000_000n !== 0n ? 1 : 0);
  const wall = new Date(ms + (zone === undefined || zone === '' ? 0 : offsetMs(ms, zone)));
  const start = new Date(wall);
  start.setUTCMonth(0, 1);
  start.setUTCHours(0, 0, 0, 0);
  return {
    year: wall.getUTCFullYear(),
    month: wall.getUTCMonth(),
    date: wall.getUTCDate(),
    hours: wall.getUTCHours(),
    minutes: wall.getUTCMinutes(),
    seconds: wall.getUTCSeconds(),
    day: wall.getUTCDay(),
    dayOfYear: Math.floor((wall.getTime() - start.getTime()) / dayMs),
  };
}
function offsetMs(ms: number, zone: string): number {
  const fixed = /^([-+]?)(\d{1,2}):(\d{2})$/.exec(zone);
  if (fixed) return (fixed[1] === '-' ? -1 : 1) * (Number(fixed[2]) * 60 + Number(fixed[3])) * 60_000;
  try {
    const format = new Intl.DateTimeFormat('en-US', { timeZone: zone, timeZoneName: 'longOffset' });
    const name = format.formatToParts(new Date(ms)).find(({ type }) => type === 'timeZoneName')!.value;
    const match = /GMT([-+])(\d{2}):(\d{2})(?::(\d{2}))?/.exec(name);
    if (!match) return 0;
    return (
      (match[1] === '-' ? -1 : 1) * (Number(match[2]) * 3600 + Number(match[3]) * 60 + Number(match[4] ?? 0)) * 1000
    );
  } catch {
    throw failure(`unknown time zone ${zone}`);
  }
}

const ofTime = (name: string, read: (parts: Parts) => number): Overload[] => [
  method(name, [t.timestamp], t.int, (at: CelTimestamp) => read(partsOf(at))),
  method(name, [t.timestamp, t.string], t.int, (at: CelTimestamp, zone: string) => read(partsOf(at, zone))),
];
const milliseconds = ({ nanos }: CelTimestamp): number =>
  Number((((nanos % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n) / 1_000_000n);
const ofDuration = (name: string, nanosEach: bigint, modulus?: bigint): Overload =>
  method(name, [t.duration], t.int, ({ nanos }: CelDuration) =>
    intOf(modulus ? (nanos / nanosEach) % modulus : nanos / nanosEach),
  );

export const time: readonly Overload[] = [
  ...ofTime('getFullYear', ({ year }) => year),
  ...ofTime('getMonth', ({ month }) => month),
  ...ofTime('getDate', ({ date }) => date),
  ...ofTime('getDayOfMonth', ({ date }) => date - 1),
  ...ofTime('getDayOfWeek', ({ day }) => day),
  ...ofTime('getDayOfYear', ({ dayOfYear }) => dayOfYear),
  ...ofTime('getHours', ({ hours }) => hours),
  ...ofTime('getMinutes', ({ minutes }) => minutes),
  ...ofTime('getSeconds', ({ seconds }) => seconds),
  method('getMilliseconds', [t.timestamp], t.int, milliseconds),
  method('getMilliseconds', [t.timestamp, t.string], t.int, (at: CelTimestamp) => milliseconds(at)),
  ofDuration('getHours', 3_600_000_000_000n),
  ofDuration('getMinutes', 60_000_000_000n),
  ofDuration('getSeconds', 1_000_000_000n),
  ofDuration('getMilliseconds', 1_000_000n, 1000n),
];
