import { type Converse, type Exec, type Log, PintleError, silentLog, systemConverse } from '#base';
import { isCidr4 } from '../cidr.ts';
import { createConntrack } from '../nft/conntrack.ts';
import { changeCommands, type Element, replaceText } from '../nft/ruleset.ts';
import { NftSession } from '../nft/session.ts';
import type { RouteTable, ServiceProxy } from '../service-proxy.ts';
import { elementsOf, fixedElements, type RuleOptions, tableOf } from './rules.ts';
import { RouteState } from './state.ts';

export interface NftablesProxyOptions extends RuleOptions {
  readonly exec: Exec;
  /** Path of the network namespace whose traffic is translated; absent: ours. */
  readonly netns?: string;
  readonly log?: Log;
  /** How the long-lived nft is started. Default: a real child. */
  readonly converse?: Converse;
}

const nftTimeoutMs = 30_000;

/** Service addresses by nftables: one table of our own, replaced whole at the start and changed by deltas after that. */
export function createNftablesProxy(options: NftablesProxyOptions): ServiceProxy {
  const { exec, tableName, netns, log = silentLog } = options;
  checkOptions(options);
  const conntrack = createConntrack({ exec, netns, log });
  const session = new NftSession(options.converse ?? systemConverse, netns);
  const nft = async (argv: readonly string[], stdin?: string): Promise<void> => {
    const result = await exec.run(['nft', ...argv], { stdin, netns, timeoutMs: nftTimeoutMs });
    if (result.code !== 0)
      throw new PintleError(
        'NFT_FAILED',
        `nft ${argv.join(' ')} failed: ${result.stderr.trim().slice(0, 500)}`,
        result.code === 127
          ? 'Install the package nftables.'
          : 'Run `pintle doctor`: it checks nftables and its kernel parts.',
      );
  };
  /** Undefined: nobody knows what the kernel holds (start, or a failure), so the next apply writes everything. */
  let state: RouteState | undefined;
  let chains = new Set<string>();
  let fixed: Element[] = [];
  let closed = false;
  let tail: Promise<unknown> = Promise.resolve();

  async function replace(table: RouteTable): Promise<RouteState> {
    const next = new RouteState(elementsOf);
    next.fill(table.routes);
    fixed = fixedElements(options, table.podRanges);
    chains = new Set([...standingPicks, ...chains, ...next.picks]);
    await nft(['-f', '-'], replaceText(tableOf(options, chains), [...fixed, ...next.elements()]));
    return next;
  }

  /** Undefined when it takes a new chain: nft 1.0.6 cannot add one that uses the maps of a table loaded before. */
  async function change(current: RouteState, table: RouteTable): Promise<{ udpChanged: boolean } | undefined> {
    const nextFixed = fixedElements(options, table.podRanges);
    const delta = current.update(table.routes);
    const removed = [...minus(fixed, nextFixed), ...delta.removed];
    const added = [...minus(nextFixed, fixed), ...delta.added];
    if (delta.picks.some((name) => !chains.has(name))) return undefined;
    if (removed.length + added.length === 0) {
      // Nothing of ours changed; somebody may have flushed our table, though.
      await nft(['list', 'chain', 'ip', tableName, 'translate']);
      return { udpChanged: false };
    }
    const commands = changeCommands(tableName, { chains: [], removed, added });
    const text = commands.join('\n');
    if (text.length > NftSession.textCharsMax) await nft(['-f', '-'], `${text}\n`);
    else {
      const complaint = await session.run(commands);
      if (complaint !== '') throw new Error(`nft: ${complaint?.slice(0, 500) ?? 'ended unexpectedly'}`);
    }
    fixed = nextFixed;
    return { udpChanged: delta.udpChanged };
  }

  async function applyNow(table: RouteTable): ReturnType<ServiceProxy['apply']> {
    if (closed) throw new Error('the proxy is closed');
    const badRange = table.podRanges.find((range) => !isCidr4(range));
    if (badRange !== undefined) throw new Error(`pod range ${badRange} is not an IPv4 CIDR`);
    const current = state;
    state = undefined;
    let udpChanged = true;
    if (current) {
      try {
        const changed = await change(current, table);
        if (changed) state = current;
        udpChanged = changed?.udpChanged ?? true;
      } catch (error) {
        log.warn('the kernel refused a change of service rules; writing all of them', { error });
      }
    }
    state ??= await replace(table);
    if (udpChanged) await conntrack.forgetStale(state.routes());
    return { refused: state.refused() };
  }

  return {
    name: 'nftables',
    apply(table) {
      const result = tail.then(() => applyNow(table));
      tail = result.catch(() => {});
      return result;
    },
    async purge() {
      await tail;
      state = undefined;
      await nft(['-f', '-'], `add table ip ${tableName}\ndelete table ip ${tableName}\n`);
    },
    async [Symbol.asyncDispose]() {
      closed = true;
      await tail;
      await session[Symbol.asyncDispose]();
    },
  };
}

/** Chains for the usual numbers of endpoints are there from the start, so that hardly any change needs a new one. */
const standingPicks: readonly string[] = ['pick', 'nodePick', 'localPick'].flatMap((scope) =>
  ['', 'Client'].flatMap((by) => Array.from({ length: 8 }, (_unused, index) => `${scope}${by}${index + 1}`)),
);

function checkOptions(options: NftablesProxyOptions): void {
  if (!/^[a-zA-Z][a-zA-Z0-9_]{0,30}$/.test(options.tableName))
    throw new Error(`${options.tableName} is no name for an nftables table`);
  const badRange = (options.serviceRanges ?? []).find((range) => !isCidr4(range));
  if (badRange !== undefined) throw new Error(`service range ${badRange} is not an IPv4 CIDR`);
}

const minus = (left: readonly Element[], right: readonly Element[]): Element[] =>
  left.filter((one) => !right.some((other) => other.in === one.in && other.key === one.key));
