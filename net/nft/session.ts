import type { Conversation, Converse } from '#base';

/**
 * Closing the netlink socket after a deletion waits for the kernel's RCU grace period (10-20 ms measured), although the
 * rules are in force before. One long-lived `nft -i` never closes it: one change takes 2-4 ms instead of 15-25.
 * A line is one transaction. nft says nothing on success, so each line is followed by a word that it must complain about.
 */
export class NftSession implements AsyncDisposable {
  readonly #converse: Converse;
  readonly #netns: string | undefined;
  #child: Conversation | undefined;
  #count = 0;

  constructor(converse: Converse, netns?: string) {
    this.#converse = converse;
    this.#netns = netns;
  }
  /** nft reads its input byte by byte in this mode: longer texts go through `nft -f -`. */
  static readonly textCharsMax = 16_384;

  /** Resolves to what nft complained about, or an empty text; undefined when the child is gone (nobody knows then). */
  async run(commands: readonly string[]): Promise<string | undefined> {
    this.#child ??= this.#converse(['nft', '-i'], { netns: this.#netns });
    const word = `pintle_done_${++this.#count}`;
    const said: string[] = [];
    try {
      this.#child.write(`${commands.join('; ')}\n${word}\n`);
      for (;;) {
        const line = await this.#child.line();
        if (line === undefined) break;
        // The complaint about our word is its heading, the word itself and a row of carets.
        if (line.trim().replace(/^(nft>\s*)+/, '') === word) return said.slice(0, -1).join('\n').trim();
        if (!/^[\s^~]*$/.test(line)) said.push(line.replace(/^(nft>\s*)+/, ''));
      }
    } catch {
      // a broken pipe: the child has ended
    }
    await this[Symbol.asyncDispose]();
    return undefined;
  }
  async [Symbol.asyncDispose](): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    await child?.[Symbol.asyncDispose]();
  }
}
