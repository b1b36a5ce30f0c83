import { type Event, eventKind, isReason, type ObjectReference } from '#api';
import { type Clock, type Log, messageOf, type Random, timeText } from '#base';
import type { Client } from '#client';
import type { EventRecorder } from './events.ts';

const waitingEventsMax = 1_000;
const rememberedMax = 4_096;
const burstEvents = 25; // for each source and object, then one in five minutes, as upstream
const refillMs = 300_000;
const similarMax = 10; // more distinct messages of one reason than this within ten minutes become one event
const similarWindowMs = 600_000;
const triesMax = 5;

export interface RecorderOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** source.component and reportingComponent, such as `replication-controller`. */
  readonly component: string;
  /** source.host and reportingInstance: the node. */
  readonly host?: string;
}
interface Remembered {
  name: string;
  count: number;
  readonly firstTimestamp: string;
}

export function createEventRecorder(options: RecorderOptions): EventRecorder & AsyncDisposable {
  const { client, clock, log, component, host } = options;
  const stopped = new AbortController();
  const written = new Bounded<Remembered>(rememberedMax);
  const buckets = new Bounded<{ tokens: number; atMs: number }>(rememberedMax);
  const similar = new Bounded<{ messages: Set<string>; atMs: number }>(rememberedMax);
  const waiting: Event[] = [];
  let draining: Promise<void> | undefined;
  let serial = 0;

  function hasToken(id: string): boolean {
    const nowMs = clock.monotonicMs();
    const bucket = buckets.get(id) ?? { tokens: burstEvents, atMs: nowMs };
    bucket.tokens = Math.min(burstEvents, bucket.tokens + (nowMs - bucket.atMs) / refillMs);
    bucket.atMs = nowMs;
    buckets.set(id, bucket);
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }
  /** The message under which the event counts: its own, or the common one when there are too many alike. */
  function messageFor(id: string, message: string): string {
    const nowMs = clock.monotonicMs();
    let group = similar.get(id);
    if (!group || nowMs - group.atMs > similarWindowMs) group = { messages: new Set(), atMs: nowMs };
    group.atMs = nowMs;
    if (group.messages.size < similarMax) group.messages.add(message);
    similar.set(id, group);
    return group.messages.has(message) ? message : `(combined from similar events): ${message}`;
  }
  async function write(event: Event): Promise<void> {
    const id = idOf(event);
    const isCombined = event.message?.startsWith('(combined from similar events)');
    const key = isCombined ? id : `${id}\n${event.message}`;
    const before = written.get(key);
    if (before) {
      try {
        const body = { count: before.count + 1, lastTimestamp: event.lastTimestamp, message: event.message };
        const at = { namespace: event.metadata.namespace, name: before.name };
        await client.patch(eventKind, at, { type: 'merge', body });
        before.count++;
        return;
      } catch (error) {
        if (!isReason(error, 'NotFound')) throw error; // it expired: write a new one that goes on counting
        event.count = before.count + 1;
        event.firstTimestamp = before.firstTimestamp;
      }
    }
    await client.create(eventKind, event as Event & { metadata: object });
    const { name } = event.metadata;
    written.set(key, { name: name!, count: event.count ?? 1, firstTimestamp: event.firstTimestamp! });
  }
  async function drain(): Promise<void> {
    for (let event = waiting.shift(); event; event = waiting.shift()) {
      for (let tries = 1; tries <= triesMax; tries++) {
        try {
          await write(event);
          break;
        } catch (error) {
          const canRetry = isReason(error, 'ServiceUnavailable', 'Timeout', 'TooManyRequests', 'InternalError');
          if (!canRetry || stopped.signal.aborted || tries === triesMax) {
            log.debug('event not written', { reason: event.reason, error: messageOf(error) });
            break;
          }
          await clock.sleep(200 * 2 ** tries * (0.5 + options.random.next()), stopped.signal);
        }
      }
    }
    draining = undefined;
  }

  return {
    event(about, type, reason, message, fieldPath) {
      if (stopped.signal.aborted) return;
      const { name, namespace, uid, resourceVersion } = about.metadata as ObjectReference;
      const involvedObject: ObjectReference = {
        kind: about.kind,
        apiVersion: about.apiVersion,
        name,
        namespace,
        uid,
        resourceVersion,
        fieldPath,
      };
      const now = timeText(clock.now());
      const event: Event = {
        apiVersion: 'v1',
        kind: 'Event',
        metadata: { namespace: namespace || 'default', name: `${name}.${stamp(clock.now(), serial++)}` },
        involvedObject,
        type,
        reason,
        message: message.slice(0, 1024),
        source: { component, host },
        reportingComponent: component,
        reportingInstance: host ?? '',
        firstTimestamp: now,
        lastTimestamp: now,
        count: 1,
      };
      event.message = messageFor(idOf(event), event.message ?? '').slice(0, 1024);
      if (!hasToken(`${uid ?? ''}/${namespace ?? ''}/${name}`)) return;
      if (waiting.length >= waitingEventsMax) return void log.warn('event dropped: too many wait', { reason });
      waiting.push(event);
      draining ??= drain();
    },
    async [Symbol.asyncDispose]() {
      stopped.abort();
      await draining;
    },
  };
}

/** Nanoseconds in hexadecimal, as upstream names events; the serial tells those of one millisecond apart. */
const stamp = (nowMs: number, serial: number): string =>
  (BigInt(Math.floor(nowMs)) * 1_000_000n + BigInt(serial % 1_000_000)).toString(16);

const idOf = ({ involvedObject: about, type, reason }: Event): string =>
  [about.kind, about.namespace, about.name, about.uid, about.fieldPath, type, reason].join('\n');

/** The least recently set entry goes when the map is full. */
class Bounded<V> {
  readonly #entries = new Map<string, V>();
  constructor(private readonly max: number) {}
  get(key: string): V | undefined {
    return this.#entries.get(key);
  }
  set(key: string, value: V): void {
    this.#entries.delete(key);
    this.#entries.set(key, value);
    if (this.#entries.size > this.max) this.#entries.delete(this.#entries.keys().next().value!);
  }
}
