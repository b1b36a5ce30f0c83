import { isReason, type ObjectKey, type Pod, podKind } from '#api';
import { type Clock, type Log, messageOf, timeText } from '#base';
import type { Client } from '#client';
import type { EventRecorder } from '#sdk';
import type { Candidate } from './preemption.ts';

type Condition = NonNullable<NonNullable<Pod['status']>['conditions']>[number];
export interface PodWriterOptions {
  readonly client: Client;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly log: Log;
  readonly schedulerName: string;
}
const keyOf = (pod: Readonly<Pod>): ObjectKey => ({
  namespace: pod.metadata.namespace,
  name: pod.metadata.name!,
});

/** What the scheduler writes about pods besides bindings. Failures are logged: the next attempt writes again. */
export class PodWriter {
  constructor(private readonly options: PodWriterOptions) {}

  /** The reason why it waits; `nominated`: the node that is kept for it, null: none any more, undefined: as it is. */
  async unschedulable(pod: Readonly<Pod>, message: string, nominated: string | null | undefined): Promise<void> {
    const former = pod.status?.conditions?.find((one) => one.type === 'PodScheduled');
    const isSame = former?.status === 'False' && former.reason === 'Unschedulable' && former.message === message;
    const isNominated = nominated === undefined || (nominated ?? undefined) === pod.status?.nominatedNodeName;
    if (isSame && isNominated) return;
    const condition = this.#condition(pod, former, {
      type: 'PodScheduled',
      status: 'False',
      reason: 'Unschedulable',
      message,
    });
    const status = { conditions: [condition], ...(isNominated ? {} : { nominatedNodeName: nominated }) };
    await this.#patch(pod, status);
  }
  async clearNomination(pod: Readonly<Pod>): Promise<void> {
    await this.#patch(pod, { nominatedNodeName: null });
  }

  /** Takes the places of the victims: the reason into their status, then a graceful deletion. False: one of them stays. */
  async evict(preemptor: Readonly<Pod>, { victims, node }: Candidate): Promise<boolean> {
    const going = victims.filter((victim) => !victim.metadata.deletionTimestamp);
    const gone = await Promise.all(going.map((victim) => this.#evict(preemptor, victim, node)));
    return gone.every(Boolean);
  }

  async #evict(preemptor: Readonly<Pod>, victim: Readonly<Pod>, node: string): Promise<boolean> {
    const condition = this.#condition(
      victim,
      victim.status?.conditions?.find((one) => one.type === 'DisruptionTarget'),
      {
        type: 'DisruptionTarget',
        status: 'True',
        reason: 'PreemptionByScheduler',
        message: `${this.options.schedulerName}: preempting to accommodate a higher priority pod`,
      },
    );
    if (!(await this.#patch(victim, { conditions: [condition] }))) return false;
    try {
      const { uid } = victim.metadata;
      await this.options.client.delete(podKind, keyOf(victim), { preconditions: { uid } });
    } catch (error) {
      if (isReason(error, 'NotFound', 'Conflict')) return true; // it went by itself
      this.options.log.warn('a pod could not be preempted', { pod: victim.metadata.name, error: messageOf(error) });
      return false;
    }
    this.options.events.event(
      victim,
      'Normal',
      'Preempted',
      `Preempted by pod ${preemptor.metadata.uid} on node ${node}`,
    );
    return true;
  }

  #condition(
    pod: Readonly<Pod>,
    former: Condition | undefined,
    condition: Pick<Condition, 'type' | 'status' | 'reason' | 'message'>,
  ): Condition {
    const isOld = former?.status === condition.status;
    return {
      ...condition,
      observedGeneration: pod.metadata.generation,
      lastTransitionTime: isOld ? former.lastTransitionTime : timeText(this.options.clock.now()),
    };
  }
  /** False: it failed, and the pod is still there. */
  async #patch(pod: Readonly<Pod>, status: object): Promise<boolean> {
    const body = { metadata: { uid: pod.metadata.uid }, status };
    try {
      await this.options.client.patch(podKind, keyOf(pod), { type: 'strategic', body }, { subresource: 'status' });
    } catch (error) {
      if (isReason(error, 'NotFound', 'Conflict')) return true; // another pod of that name, or none
      this.options.log.warn('the status of a pod could not be written', {
        pod: pod.metadata.name,
        error: messageOf(error),
      });
      return false;
    }
    return true;
  }
}
