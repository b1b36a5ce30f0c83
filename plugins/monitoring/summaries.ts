import { type Clock, type Log, messageOf } from '#sdk';

/** What a kubelet says at /stats/summary (stats.k8s.io v1alpha1), as far as it is used here. */
export interface Summary {
  readonly node: Figures & { readonly nodeName: string };
  readonly pods: readonly PodFigures[];
}
export interface Figures {
  readonly cpu?: { readonly time: string; readonly usageNanoCores?: number; readonly windowMs?: number };
  readonly memory?: { readonly workingSetBytes?: number };
}
export interface PodFigures {
  readonly podRef: { readonly name: string; readonly namespace: string; readonly uid: string };
  readonly containers: readonly (Figures & { readonly name: string })[];
}

const askTimeoutMs = 5_000;
const freshMs = 5_000; // as often as anybody needs; a kubelet is not asked more often
const asksMax = 16; // kubelets at a time

/** Asks kubelets when somebody asks us. What was answered is good for a moment; a node that does not answer is left out. */
export class Summaries {
  readonly #known = new Map<string, { at: number; summary: Promise<Summary | undefined> }>();
  #running = 0;
  readonly #waiting: (() => void)[] = [];
  constructor(
    private readonly get: (node: string, signal: AbortSignal) => Promise<Summary>,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  async of(nodes: readonly string[]): Promise<Summary[]> {
    const now = this.clock.monotonicMs();
    for (const [node, { at }] of this.#known) if (now - at >= freshMs) this.#known.delete(node);
    const asked = nodes.map((node) => {
      const known = this.#known.get(node) ?? { at: now, summary: this.#ask(node) };
      this.#known.set(node, known);
      return known.summary;
    });
    return (await Promise.all(asked)).filter((summary) => summary !== undefined);
  }

  async #ask(node: string): Promise<Summary | undefined> {
    while (this.#running >= asksMax) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#running++;
    const over = new AbortController();
    const late = new AbortController();
    void this.clock.sleep(askTimeoutMs, late.signal).then(() => over.abort());
    try {
      return await this.get(node, over.signal);
    } catch (error) {
      this.log.debug('a node does not say what it uses', { node, error: messageOf(error) });
      return undefined;
    } finally {
      late.abort();
      this.#running--;
      this.#waiting.shift()?.();
    }
  }
}
