import type { Commit, History } from './disk.ts';
import type { Checker, InvariantName, MakeChecker, Stored, Violation, WatchCheck } from './invariants/checker.ts';
import { versionIn } from './invariants/checker.ts';
import type { Exchange, Tap } from './network.ts';
import type { SimProcess } from './process.ts';
import type { Timeline } from './timeline.ts';

const traceLinesMax = 400;
const violationsMax = 20;

/** Everything that happens, hashed for comparison, kept for a while for people, and shown to the checkers. */
export class Observer implements Tap {
  readonly violations: Violation[] = [];
  readonly #checkers: readonly Checker[];
  readonly #lines: string[] = [];
  readonly #listeners = new Set<(exchange: Exchange) => void>();
  #hash = 0n;
  #acked = 0;
  #exchanges = 0;
  /** Lines so far. */
  lineCount = 0;

  constructor(
    private readonly timeline: Timeline,
    readonly history: History,
    makers: readonly MakeChecker[],
  ) {
    const truth = { history, nowMs: () => timeline.nowMs, report: this.report.bind(this) };
    this.#checkers = makers.map((make) => make(truth));
  }

  /** Two runs with the same hash did the same things at the same times. */
  get hash(): string {
    return this.#hash.toString(16).padStart(16, '0');
  }
  /** The last lines. */
  get trace(): readonly string[] {
    return this.#lines;
  }
  note(text: string): void {
    const line = `${this.timeline.nowMs.toFixed(3)} ${text}`;
    this.#hash = BigInt(Bun.hash(line, this.#hash));
    this.lineCount++;
    this.#lines.push(line);
    if (this.#lines.length > traceLinesMax * 2) this.#lines.splice(0, traceLinesMax);
  }
  report(invariant: InvariantName, message: string): void {
    this.note(`VIOLATION ${invariant} ${message}`);
    if (this.violations.length < violationsMax)
      this.violations.push({ invariant, atMs: Math.round(this.timeline.nowMs), message });
  }

  commit(commit: Commit): void {
    this.note(`commit ${commit.version} ${commit.type} ${commit.key} ${commit.value ? Bun.hash(commit.value) : ''}`);
    for (const checker of this.#checkers) checker.commit?.(commit);
  }
  stored(entries: readonly Stored[]): void {
    for (const checker of this.#checkers) checker.stored?.(entries);
  }
  running(places: readonly { readonly podUid: string; readonly node: string }[]): void {
    for (const checker of this.#checkers) checker.running?.(places);
  }
  end(): void {
    for (const checker of this.#checkers) checker.end?.();
  }

  /** Hears of every answer that the server gives. The result ends it. */
  onAnswer(hear: (exchange: Exchange) => void): () => void {
    this.#listeners.add(hear);
    return () => void this.#listeners.delete(hear);
  }
  forgetListeners(): void {
    this.#listeners.clear();
  }

  begins(from: SimProcess, method: string, target: string): Exchange {
    const id = this.#exchanges++;
    const exchange = { id, from, method, target, beganAtMs: this.timeline.nowMs, ackedBefore: this.#acked };
    this.note(`${from.name} ${id} ${method} ${target}`);
    for (const checker of this.#checkers) checker.began?.(exchange);
    return exchange;
  }
  answers(exchange: Exchange, status: number, body: string): void {
    this.note(`${exchange.from.name} ${exchange.id} answer ${status} ${Bun.hash(body)}`);
    for (const checker of this.#checkers) checker.answered?.(exchange, status, body);
    for (const hear of [...this.#listeners]) hear(exchange);
    if (exchange.method === 'GET' || status >= 300) return;
    const version = versionIn(body.slice(0, 1_000)) ?? 0;
    if (this.history.byVersion.has(version)) this.#acked = Math.max(this.#acked, version);
  }
  delivered(exchange: Exchange, reached: boolean): void {
    this.note(`${exchange.from.name} ${exchange.id} ${reached ? 'has it' : 'will not know'}`);
    for (const checker of this.#checkers) checker.delivered?.(exchange, reached);
  }
  watches(exchange: Exchange): { text(piece: string): void; ends(): void } {
    const checks = this.#checkers.flatMap((checker): WatchCheck[] => {
      const check = checker.watch?.(exchange);
      return check ? [check] : [];
    });
    let rest = '';
    return {
      text: (piece) => {
        rest += piece;
        for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n')) {
          for (const check of checks) check.line(rest.slice(0, end).trimStart());
          rest = rest.slice(end + 1);
        }
      },
      ends: () => {
        this.note(`${exchange.from.name} ${exchange.id} watch ends`);
        for (const check of checks) check.ends();
      },
    };
  }
}
