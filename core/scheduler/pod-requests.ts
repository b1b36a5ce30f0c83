import { type Container, milliOf, type Pod, wholeOf } from '#api';

export interface Requests {
  readonly cpuMilli: number;
  readonly memoryBytes: number;
  readonly other: Readonly<Record<string, number>>;
}

/** What spreading and scoring count for a container that asks for nothing, as upstream: 100m and 200 MB. */
export const unsetCpuMilli = 100;
export const unsetMemoryBytes = 200 * 1024 * 1024;

/**
 * What a pod occupies: the sum of its containers and restartable init containers, or the largest plain init container
 * together with the restartable ones before it, whichever is more; plus overhead.
 */
export function requestsOf(pod: Readonly<Pod>, forScoring = false): Requests {
  const known = forScoring ? scored : asked;
  let requests = known.get(pod);
  if (!requests) known.set(pod, (requests = sumOf(pod, forScoring)));
  return requests;
}
/** By object: pods of the cache do not change, and every decision asks for all of them. */
const [asked, scored] = [new WeakMap<Readonly<Pod>, Requests>(), new WeakMap<Readonly<Pod>, Requests>()];

function sumOf(pod: Readonly<Pod>, forScoring: boolean): Requests {
  const names = new Set<string>(['cpu', 'memory']);
  const containers = pod.spec?.containers ?? [];
  const inits = pod.spec?.initContainers ?? [];
  for (const container of [...containers, ...inits])
    for (const name of Object.keys(container.resources?.requests ?? {})) names.add(name);
  for (const name of Object.keys(pod.spec?.overhead ?? {})) names.add(name);
  const total: Record<string, number> = {};
  for (const name of names) {
    const amount = (container: Readonly<Container>): number => amountOf(container, name, forScoring);
    let running = 0;
    let peak = 0;
    for (const init of inits) {
      if (init.restartPolicy === 'Always') running += amount(init);
      peak = Math.max(peak, init.restartPolicy === 'Always' ? running : running + amount(init));
    }
    const sum = running + containers.reduce((all, container) => all + amount(container), 0);
    total[name] = Math.max(sum, peak) + quantity(name, pod.spec?.overhead?.[name]);
  }
  const { cpu = 0, memory = 0, ...other } = total;
  return { cpuMilli: cpu, memoryBytes: memory, other };
}

function amountOf(container: Readonly<Container>, name: string, forScoring: boolean): number {
  const asked = container.resources?.requests?.[name];
  if (asked === undefined && forScoring)
    return name === 'cpu' ? unsetCpuMilli : name === 'memory' ? unsetMemoryBytes : 0;
  return quantity(name, asked);
}
const quantity = (name: string, text: string | undefined): number => (name === 'cpu' ? milliOf(text) : wholeOf(text));
