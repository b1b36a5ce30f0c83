import { type Converse, type Exec, type Log, silentLog, systemConverse, systemExec } from '#base';
import { runNft } from '../nft/run.ts';
import { NftSession } from '../nft/session.ts';
import type { FilterShape, FilterSource, PacketFilter } from '../packet-filter.ts';
import { changeCommands, isEmptyChange, replaceText } from './ruleset.ts';

export interface NftablesFilterOptions extends FilterShape {
  readonly exec?: Exec;
  /** How the long-lived nft is started. Default: a real child. */
  readonly converse?: Converse;
  /** Path of the network namespace whose traffic is filtered; absent: ours. */
  readonly netns?: string;
  readonly log?: Log;
}
const nftTimeoutMs = 30_000;

/** Packet filter of one host's pods: a table of our own, replaced whole at the start and changed by deltas after that. */
export function createNftablesFilter(options: NftablesFilterOptions): PacketFilter {
  return new NftablesFilter(options);
}

class NftablesFilter implements PacketFilter {
  readonly #options: NftablesFilterOptions;
  readonly #exec: Exec;
  readonly #session: NftSession;
  #isLoaded = false;
  #ranges = '';
  #tail: Promise<unknown> = Promise.resolve();

  constructor(options: NftablesFilterOptions) {
    if (!/^[a-zA-Z][a-zA-Z0-9_]{0,60}$/.test(options.tableName))
      throw new Error(`${options.tableName} is no name for an nftables table`);
    this.#options = options;
    this.#exec = options.exec ?? systemExec;
    this.#session = new NftSession(options.converse ?? systemConverse, options.netns);
  }

  /** One at a time. Throws NFT_FAILED. */
  apply(source: FilterSource): Promise<void> {
    const result = this.#tail.then(() => this.#applyNow(source));
    this.#tail = result.catch(() => {});
    return result;
  }

  async #applyNow(source: FilterSource): Promise<void> {
    const { tableName, log = silentLog } = this.#options;
    if (this.#isLoaded) {
      const change = source.changed();
      if (isEmptyChange(change)) return;
      const commands = changeCommands(tableName, change);
      try {
        return await this.#run(commands);
      } catch (error) {
        log.warn('the kernel refused a change of the packet filter; writing all of it', { error });
      }
    }
    this.#isLoaded = false; // nobody knows what the kernel holds
    const ranges = this.#options.localRanges().join();
    await this.#nft(['-f', '-'], replaceText(this.#options, source.whole()));
    this.#ranges = ranges;
    this.#isLoaded = true;
  }

  async #run(commands: readonly string[]): Promise<void> {
    const text = commands.join('\n');
    if (text.length > NftSession.textCharsMax) return this.#nft(['-f', '-'], `${text}\n`);
    const complaint = await this.#session.run(commands);
    if (complaint !== '') throw new Error(`nft: ${complaint?.slice(0, 500) ?? 'ended unexpectedly'}`);
  }

  async check(): Promise<boolean> {
    await this.#tail;
    if (!this.#isLoaded) return false;
    const { tableName, netns } = this.#options;
    const listed = await this.#exec.run(['nft', 'list', 'chain', 'inet', tableName, 'in_forward'], {
      netns,
      timeoutMs: nftTimeoutMs,
    });
    const sameRanges = this.#ranges === this.#options.localRanges().join();
    if (listed.code === 0 && sameRanges && listed.stdout.includes('jump decide_in')) return true;
    this.#isLoaded = false;
    return false;
  }

  /** Between two pods on one bridge packets meet the rules where the kernel shows bridged packets to the filters of IP. */
  async weakness(): Promise<string | undefined> {
    const names = ['net.bridge.bridge-nf-call-iptables', 'net.bridge.bridge-nf-call-ip6tables'];
    const { netns } = this.#options;
    const read = () => this.#exec.run(['sysctl', '-n', ...names], { netns });
    let shown = await read();
    if (shown.code !== 0) {
      await this.#exec.run(['modprobe', 'br_netfilter'], { netns });
      shown = await read();
    }
    if (shown.code !== 0)
      return 'packets between two pods of this host pass by the policies: load the kernel module br_netfilter';
    if (shown.stdout.includes('0')) {
      const set = await this.#exec.run(['sysctl', '-q', '-w', ...names.map((name) => `${name}=1`)], { netns });
      if (set.code !== 0)
        return `packets between two pods of this host pass by the policies: set ${names.join(' and ')} to 1`;
    }
    return undefined;
  }

  async #nft(argv: readonly string[], stdin: string): Promise<void> {
    await runNft(this.#exec, argv, { stdin, netns: this.#options.netns });
  }

  async purge(): Promise<void> {
    await this.#tail;
    this.#isLoaded = false;
    const { tableName } = this.#options;
    await this.#nft(['-f', '-'], `add table inet ${tableName}\ndelete table inet ${tableName}\n`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tail;
    await this.#session[Symbol.asyncDispose]();
  }
}
