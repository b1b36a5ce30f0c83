import { messageOf } from '#base';
import type { PodGate } from '#sdk';
import type { PodNetwork, PodToAttach } from '../../net/pod.ts';

const waitMsMax = 20_000; // the kubelet tries again after that, and says why in an event

/**
 * What pods pass between their addresses and their first process. Parts that are known to open a gate are waited for, so
 * that no pod is faster than the part that is to guard it.
 */
export class PodGates {
  readonly #gates = new Set<PodGate>();
  readonly #expected: Set<string>;
  #opened = () => {};
  readonly #allOpen: Promise<void>;

  /** `expected`: names of the plugins whose gates are waited for. */
  constructor(expected: readonly string[]) {
    this.#expected = new Set(expected);
    this.#allOpen = new Promise((resolve) => (this.#opened = resolve));
    if (expected.length === 0) this.#opened();
  }

  /** What the part of this plugin is given. */
  doorOf(plugin: string): (gate: PodGate) => Disposable {
    return (gate) => {
      this.#gates.add(gate);
      this.#expected.delete(plugin);
      if (this.#expected.size === 0) this.#opened();
      return { [Symbol.dispose]: () => void this.#gates.delete(gate) };
    };
  }

  /** Rejects when a gate does, or is late. */
  async pass(pod: Parameters<PodGate>[0], signal: AbortSignal = AbortSignal.timeout(waitMsMax)): Promise<void> {
    const late = new Promise<never>((_resolve, reject) =>
      signal.addEventListener('abort', () => reject(new Error(this.#whyLate())), { once: true }),
    );
    const passed = this.#allOpen.then(async () => {
      if (!signal.aborted) await Promise.all([...this.#gates].map((gate) => gate(pod, signal)));
    });
    passed.catch(() => {}); // after the limit nobody listens
    await Promise.race([passed, late]);
  }
  #whyLate(): string {
    return this.#expected.size > 0
      ? `the pod waits for the plugin ${[...this.#expected].join(', ')}, which has not started on this node`
      : 'the rules of the pod’s network are not in force yet';
  }
}

/** A pod network whose pods pass the gates once they are attached. */
export function gatedNetwork(network: PodNetwork, gates: PodGates): PodNetwork {
  return {
    name: network.name,
    prepare: () => network.prepare(),
    async attach(pod: PodToAttach) {
      const attachment = await network.attach(pod);
      const { uid, namespace = '', name = '' } = pod;
      try {
        await gates.pass({ uid, namespace, name, ips: attachment.ips });
      } catch (error) {
        throw new Error(`the network of the pod is not ready: ${messageOf(error)}`);
      }
      return attachment;
    },
    detach: (pod) => network.detach(pod),
    ...(network.setMtu ? { setMtu: (mtuBytes: number) => network.setMtu!(mtuBytes) } : {}),
    attached: () => network.attached(),
    purge: () => network.purge(),
    [Symbol.asyncDispose]: () => network[Symbol.asyncDispose](),
  };
}
