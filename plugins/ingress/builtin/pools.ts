import type { Clock } from '#sdk';
import type { Backend, Endpoint } from '../model.ts';
import type { Asked, BackendUser, Forwarded } from './exchange.ts';
import { Http1Backend } from './http1-backend.ts';
import type { HeaderList } from './http1-head.ts';
import { Http2Backend } from './http2-backend.ts';

const idlePerEndpointMax = 64;
const idleMs = 4_000; // many servers keep a connection for 5 s: ours must go first
const suspectMs = 2_000; // an endpoint that could not be connected to is not asked first for so long

interface Place {
  readonly endpoint: Endpoint;
  /** Connections that wait, the last used last. */
  readonly idle: Http1Backend[];
  http2: Http2Backend | undefined;
  suspectUntilMs: number;
  /** In no backend any more. */
  isGone: boolean;
}
/** How a request goes to a backend. */
export interface Outgoing {
  readonly asked: Asked;
  readonly target: string;
  readonly headers: HeaderList;
  readonly backend: Backend;
  readonly user: BackendUser;
}

/** The connections to all endpoints. */
export class Pools {
  readonly #places = new Map<string, Place>();
  /** The same by the objects of the routing in force: no text is made for a look-up. */
  readonly #byObject = new WeakMap<Endpoint, Place>();
  readonly #open = new Set<Http1Backend>();
  readonly #turns = new Map<string, number>();

  constructor(private readonly clock: Clock) {}

  /** Endpoints that are in no backend any more get no new requests; those under way end in peace. */
  keep(backends: readonly Backend[]): void {
    const wanted = new Set(backends.flatMap(({ endpoints }) => endpoints.map(keyOf)));
    for (const [key, place] of this.#places) {
      if (wanted.has(key)) continue;
      for (const connection of place.idle.splice(0)) connection.retire();
      place.http2?.retire();
      place.isGone = true;
      this.#places.delete(key);
    }
    const ids = new Set(backends.map(({ id }) => id));
    for (const id of this.#turns.keys()) if (!ids.has(id)) this.#turns.delete(id);
  }

  /** The endpoint whose turn it is, of those not tried yet; suspects last. Undefined: all were tried. */
  choose({ id, endpoints }: Backend, tried: readonly Endpoint[]): Endpoint | undefined {
    const turn = this.#turns.get(id) ?? 0;
    this.#turns.set(id, (turn + 1) % 2 ** 31);
    let suspect: Endpoint | undefined;
    for (let step = 0; step < endpoints.length; step++) {
      const endpoint = endpoints[(turn + step) % endpoints.length]!;
      if (tried.includes(endpoint)) continue;
      const { suspectUntilMs } = this.#placeOf(endpoint);
      if (suspectUntilMs === 0 || suspectUntilMs <= this.clock.monotonicMs()) return endpoint;
      suspect ??= endpoint;
    }
    return suspect;
  }

  /** Sends at once where a connection waits. Undefined: `connect` first. */
  sendNow(endpoint: Endpoint, outgoing: Outgoing): Forwarded | undefined {
    const place = this.#placeOf(endpoint);
    if (outgoing.backend.protocol !== 'http1') return place.http2?.isUsable ? place.http2.send(outgoing) : undefined;
    for (let connection = place.idle.pop(); connection; connection = place.idle.pop())
      if (!connection.isClosed) return sendBy(connection, outgoing);
    return undefined;
  }

  /** Rejects when there is no connection in time; the endpoint is then avoided for a while. */
  async connect(endpoint: Endpoint, { protocol, timeouts }: Backend): Promise<(outgoing: Outgoing) => Forwarded> {
    const place = this.#placeOf(endpoint);
    const late = new AbortController();
    const expired = this.clock.sleep(timeouts.connectMs, late.signal).then(() => undefined);
    const opening =
      protocol === 'http1'
        ? Http1Backend.connect(
            endpoint,
            this.clock,
            timeouts,
            (one) => this.#free(place, one),
            (one) => this.#closed(place, one),
          )
        : Http2Backend.connect(endpoint, this.clock);
    try {
      const made = await Promise.race([opening, expired]);
      if (!made) throw new Error('no connection in time');
      place.suspectUntilMs = 0;
      if (made instanceof Http2Backend) {
        place.http2 = made;
        return (outgoing) => made.send(outgoing);
      }
      this.#open.add(made);
      return (outgoing) => sendBy(made, outgoing);
    } catch (error) {
      place.suspectUntilMs = this.clock.monotonicMs() + suspectMs;
      void opening.then(
        (one) => one.retire(),
        () => {},
      ); // it may come yet, for nobody
      throw error;
    } finally {
      late.abort();
    }
  }

  #placeOf(endpoint: Endpoint): Place {
    const known = this.#byObject.get(endpoint);
    if (known && !known.isGone) return known;
    const key = keyOf(endpoint);
    let place = this.#places.get(key);
    if (!place) {
      place = { endpoint, idle: [], http2: undefined, suspectUntilMs: 0, isGone: false };
      this.#places.set(key, place);
    }
    this.#byObject.set(endpoint, place);
    return place;
  }
  #free(place: Place, connection: Http1Backend): void {
    if (place.isGone || place.idle.length >= idlePerEndpointMax) {
      connection.retire();
      return;
    }
    connection.deadlineMs = this.clock.monotonicMs() + idleMs;
    place.idle.push(connection);
  }
  #closed(place: Place, connection: Http1Backend): void {
    this.#open.delete(connection);
    const at = place.idle.indexOf(connection);
    if (at >= 0) place.idle.splice(at, 1);
  }

  /** Ends what has waited too long. */
  sweep(nowMs: number): void {
    for (const connection of this.#open) if (connection.deadlineMs <= nowMs) connection.expire();
    for (const { http2 } of this.#places.values()) http2?.sweep(nowMs);
  }
  get connections(): number {
    return this.#open.size;
  }
  close(): void {
    this.keep([]);
    for (const connection of this.#open) connection.abort();
  }
}

const keyOf = ({ ip, port }: Endpoint): string => `${ip} ${port}`;

function sendBy(connection: Http1Backend, { asked, target, headers, backend, user }: Outgoing): Forwarded {
  const { method, authority, bodyBytes, upgrade } = asked;
  connection.send(
    { method, target, authority, headers, bodyBytes, ...(upgrade === undefined ? {} : { upgrade }) },
    backend.timeouts,
    user,
  );
  return connection;
}
