import type { Clock } from '#base';
import type { LocalHost } from '#net/backend';
import type { RouteTable } from '#net/service-proxy';
import type { LinkFacts, NetworkWork } from '#net/wanted/list';
import type {
  NetworkAnswer,
  NetworkFacts,
  NetworkSync,
  ProxyAnswer,
  VolumeCall,
  VolumeMount,
} from './contributions.ts';
import { RuntimeAnswers, type RuntimeAsked, type StreamAsked } from './runtime-calls.ts';
import type { Contributions } from './start.ts';

/** What a node asks the instance of a plugin on it, by method, and what that answers. All of it is JSON. */
export interface NodeCalls {
  'network.prepare': { asked: { name: string; local: LocalHost }; answer: NetworkWork };
  'network.publish': { asked: { name: string; local: LocalHost; made: readonly LinkFacts[] }; answer: NetworkFacts };
  'network.sync': {
    asked: { name: string } & NetworkSync;
    answer: NetworkAnswer;
  };
  'proxy.apply': { asked: { name: string; table: RouteTable; generation: number }; answer: ProxyAnswer };
  'volume.stage': { asked: { name: string; volume: VolumeCall }; answer: null };
  'volume.publish': { asked: { name: string; volume: VolumeCall }; answer: VolumeMount };
  'volume.unpublish': { asked: { name: string; id: string }; answer: null };
  'volume.list': { asked: { name: string }; answer: readonly string[] };
  'runtime.call': { asked: RuntimeAsked; answer: unknown };
  'runtime.stream': { asked: StreamAsked; answer: unknown };
}
export type NodeMethod = keyof NodeCalls;

/** Answers the node with what setup() registered; undefined: it is not a method of nodes. A throw is the answer's failure. */
export function answerNode(
  contributions: Contributions,
  clock: Clock,
): (method: string, body: unknown) => Promise<unknown> | undefined {
  const { networks, proxies, volumes } = contributions;
  const runtimes = new RuntimeAnswers(contributions.runtimes, clock);
  const answers: { readonly [M in NodeMethod]: (asked: NodeCalls[M]['asked']) => Promise<NodeCalls[M]['answer']> } = {
    'network.prepare': async ({ name, local }) => named(networks, name, 'network backend').prepare(local),
    'network.publish': async ({ name, local, made }) =>
      (await named(networks, name, 'network backend').publish?.(local, made)) ?? {},
    'network.sync': async ({ name, ...call }) => named(networks, name, 'network backend').sync(call),
    'proxy.apply': async ({ name, table, generation }) =>
      (await named(proxies, name, 'service proxy').apply(table, generation)) ?? {},
    async 'volume.stage'({ name, volume }) {
      await named(volumes, name, 'volume driver').stage?.(volume);
      return null;
    },
    'volume.publish': async ({ name, volume }) => named(volumes, name, 'volume driver').publish(volume),
    async 'volume.unpublish'({ name, id }) {
      await named(volumes, name, 'volume driver').unpublish({ id });
      return null;
    },
    'volume.list': async ({ name }) => named(volumes, name, 'volume driver').list(),
    'runtime.call': (asked) => runtimes.call(asked),
    'runtime.stream': (asked) => runtimes.stream(asked),
  };
  return (method, body) => (Object.hasOwn(answers, method) ? answers[method as NodeMethod](body as never) : undefined);
}

function named<T extends { readonly name: string }>(list: readonly T[], name: string, what: string): T {
  const one = list.find((each) => each.name === name);
  if (!one) throw new Error(`it has no ${what} ${name}`);
  return one;
}
