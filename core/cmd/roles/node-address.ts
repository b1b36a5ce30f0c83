import { networkInterfaces } from 'node:os';
import { type Clock, type Log, messageOf } from '#base';
import type { Home } from '../home.ts';

export interface LinkAddress {
  readonly link: string;
  readonly address: string;
}
interface Note {
  readonly address: string;
  readonly link?: string;
}
const lookEveryMs = 2_000;
const noteFile = 'node/address.json';

/**
 * By which others reach this node: the address it was given, as long as it has it; else another of the link on which that
 * was. One that was never on this host (a router's in front of it) holds for good. Pure.
 */
export function nodeAddressOf(given: string, note: Note | undefined, own: readonly LinkAddress[]): Note {
  const found =
    own.find(({ address }) => address === given) ??
    own.find(({ address }) => address === note?.address) ??
    own.find(({ address, link }) => link === note?.link && address.includes(':') === given.includes(':'));
  return found ?? note ?? { address: given };
}

/** A host's address of the other family: one of the same link that others reach. Pure. */
export function secondAddressOf({ address, link }: Note, own: readonly LinkAddress[]): string | undefined {
  const isOther = (ip: string): boolean => ip.includes(':') !== address.includes(':') && !/^fe[89ab]/i.test(ip);
  return own.find((one) => link !== undefined && one.link === link && isOther(one.address))?.address;
}

/** What was there and is no more, those of links alone left out: they come and go with every pod. Pure. */
export const goneAddresses = (former: readonly LinkAddress[], own: readonly LinkAddress[]): readonly string[] =>
  former
    .map(({ address }) => address)
    .filter((one) => !one.startsWith('fe80:') && !own.some(({ address }) => address === one));

const addressesOfHost = (): LinkAddress[] =>
  Object.entries(networkInterfaces()).flatMap(([link, found]) =>
    (found ?? []).flatMap(({ address, internal }) => (internal ? [] : [{ link, address }])),
  );

/** Follows where this node stands. Nobody has to wait for it: it is known from the beginning. */
export class NodeAddress {
  #note: Note;
  #own: readonly LinkAddress[];
  readonly #handlers = new Set<() => void>();
  constructor(
    private readonly options: {
      readonly home: Home;
      readonly given: string;
      readonly clock: Clock;
      readonly log: Log;
      readonly signal: AbortSignal;
      /** Addresses of this host are gone: what was connected from there is dead without a sign. */
      readonly onGone: (addresses: readonly string[]) => void;
      /** Whose addresses come and go with what load balancers have; nothing is connected from there. */
      readonly announcingLink: string;
      readonly bothFamilies?: boolean;
      readonly addresses?: () => readonly LinkAddress[];
    },
  ) {
    this.#own = this.#look();
    this.#note = this.#placed(noteOf(options.home));
  }
  get address(): string {
    return this.#note.address;
  }
  /** The primary one first. */
  now = (): readonly string[] => {
    const second = this.options.bothFamilies ? secondAddressOf(this.#note, this.#own) : undefined;
    return second === undefined ? [this.address] : [this.address, second];
  };
  onChange = (handler: () => void): void => void this.#handlers.add(handler);

  /** Until the signal aborts. */
  async keep(): Promise<void> {
    const { clock, signal, onGone, log } = this.options;
    for (;;) {
      await clock.sleep(lookEveryMs, signal);
      if (signal.aborted) return;
      const former = { own: this.#own, now: this.now().join(', ') };
      this.#own = this.#look();
      this.#note = this.#placed(this.#note);
      const gone = goneAddresses(former.own, this.#own);
      if (gone.length > 0) onGone(gone);
      const now = this.now().join(', ');
      if (now === former.now) continue;
      log.info('this node has another address', { address: now, former: former.now });
      for (const handler of this.#handlers) handler();
    }
  }

  #look(): readonly LinkAddress[] {
    return (this.options.addresses ?? addressesOfHost)().filter(({ link }) => link !== this.options.announcingLink);
  }
  #placed(known: Note | undefined): Note {
    const { home, given, log } = this.options;
    const found = nodeAddressOf(given, known, this.#own);
    const note = { address: found.address, ...(found.link ? { link: found.link } : {}) };
    const text = JSON.stringify(note);
    if (!note.link || text === home.readFile(noteFile)) return note;
    try {
      home.writeFile(noteFile, text);
    } catch (error) {
      log.warn('where this node stands is not kept for its next start', { error: messageOf(error) });
    }
    return note;
  }
}

function noteOf(home: Home): Note | undefined {
  try {
    return JSON.parse(home.readFile(noteFile) ?? '') as Note;
  } catch {
    return undefined;
  }
}
