/**
 * Sends every scenario to both servers and reports in what the answers differ.
 *
 *   bun test/differential/run.ts [NAME-REGEX]          all differences, also the accepted ones
 *   bun test --timeout 300000 ./test/differential/upstream.diff.ts
 */
import { accepted } from './accepted.ts';
import { type Difference, differences, pick } from './compare.ts';
import { scenarios } from './requests/index.ts';
import type { Exchange, Scenario } from './scenario.ts';
import { type Answer, Sender } from './send.ts';
import { type Server, startOurs, startUpstream } from './servers.ts';

export interface Found extends Difference {
  readonly scenario: string;
  /** Why it stays. */
  readonly reason?: string;
}
export interface Report {
  readonly requests: number;
  readonly found: readonly Found[];
  /** Lines of accepted.ts that matched nothing in a full run. */
  readonly unused: readonly string[];
}

export async function runDifferential(only = /./): Promise<Report> {
  await using upstream = await startUpstream();
  await using ours = await startOurs();
  const found: Found[] = [];
  const used = new Set<number>();
  let requests = 0;
  const chosen = scenarios.filter(({ name }) => only.test(name));
  const run = crypto.randomUUID().slice(0, 6);
  for (const [index, scenario] of chosen.entries()) {
    requests += scenario.requests.length;
    for (const difference of await compareScenario(scenario, upstream, ours, `d-${run}-${index}`)) {
      const line = accepted.findIndex(({ scenario: name, at }) => name.test(scenario.name) && at.test(difference.at));
      if (line >= 0) used.add(line);
      found.push({ ...difference, scenario: scenario.name, reason: accepted[line]?.reason });
    }
  }
  const unused = accepted
    .filter(({ isChance }, line) => !isChance && !used.has(line))
    .map(({ scenario, at }) => `${scenario} ${at}`);
  return { requests, found, unused };
}

async function compareScenario(scenario: Scenario, upstream: Server, ours: Server, ns: string): Promise<Difference[]> {
  const senders = [new Sender(upstream, ns), new Sender(ours, ns)] as const;
  for (const sender of senders) for (const exchange of preparation) await sender.send(exchange);
  const found: Difference[] = [];
  for (let index = 0; index < scenario.requests.length; ) {
    // Watches that only wait for their end wait together.
    let end = index + 1;
    while (isQuiet(scenario.requests[end - 1]!) && end < scenario.requests.length && isQuiet(scenario.requests[end]!))
      end++;
    const batch = scenario.requests.slice(index, end);
    const [theirs, own] = await Promise.all(
      senders.map((sender) => Promise.all(batch.map((exchange) => sender.send(exchange)))),
    );
    for (const [offset, exchange] of batch.entries())
      found.push(
        ...answerDifferences(
          theirs![offset]!,
          own![offset]!,
          `#${index + offset} ${exchange.method ?? ''} ${exchange.path} `.replace('  ', ' '),
        ),
      );
    index = end;
  }
  for (const sender of senders) await sender.send({ method: 'DELETE', path: '/api/v1/namespaces/{ns}' });
  return found;
}
/** Where one is a refusal and the other is not, the bodies differ in everything: the message says enough. */
function answerDifferences(theirs: Answer, own: Answer, at: string): Difference[] {
  if (theirs['status'] === own['status']) return differences(theirs, own, at);
  const gist = (answer: Answer) => ({ status: answer['status'], message: pick(answer['body'], 'message') });
  return differences(gist(theirs), gist(own), at);
}
const isQuiet = ({ frames, meanwhile, keep }: Exchange): boolean => frames !== undefined && !meanwhile && !keep;
const preparation: readonly Exchange[] = [
  { method: 'POST', path: '/api/v1/namespaces', body: { metadata: { name: '{ns}' } } },
  { method: 'POST', path: '/api/v1/namespaces/{ns}/serviceaccounts', body: { metadata: { name: 'default' } } },
];

const short = (value: unknown): string => (JSON.stringify(value) ?? 'undefined').slice(0, 400);
export const describe = (one: Found): string =>
  `${one.scenario} ${one.at}\n    upstream: ${short(one.upstream)}\n    ours:     ${short(one.ours)}`;

if (import.meta.main) {
  const { requests, found, unused } = await runDifferential(new RegExp(process.argv[2] ?? '.'));
  for (const one of found.filter(({ reason }) => reason))
    console.log(`accepted: ${one.scenario} ${one.at}: ${one.reason}`);
  for (const one of found.filter(({ reason }) => !reason)) console.log(describe(one));
  if (process.argv[2] === undefined) for (const line of unused) console.log(`unused: ${line}`);
  const open = found.filter(({ reason }) => !reason).length;
  for (const line of unused) console.log(`unused: ${line}`);
  console.log(`${requests} requests, ${found.length} differences, ${open} not accepted, ${unused.length} unused lines`);
}
