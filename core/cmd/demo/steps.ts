import {
  isReason,
  type Kind,
  type KubeObject,
  namespaceKind,
  type Pod,
  podKind,
  replicationControllerKind,
  serviceKind,
} from '#api';
import { PintleError } from '#base';
import type { Client } from '#client';
import type { ContainerRuntime } from '#sdk';
import { waitUntil } from '../processes.ts';
import { controllerOf, namespaceOf, serviceOf, unreadyPod } from './objects.ts';

export interface DemoWorld {
  readonly client: Client;
  readonly runtime: ContainerRuntime;
  readonly namespace: string;
  readonly servicePort: number;
}
/** `work` resolves to the sentence that says what was proved, and throws when it was not. */
export interface DemoStep {
  readonly title: string;
  work(world: DemoWorld): Promise<string>;
}

const stepLimitMs = 90_000;
const as = <T>(object: unknown): T => object as T;

const isReady = (pod: Readonly<Pod>): boolean =>
  pod.status?.conditions?.some((one) => one.type === 'Ready' && one.status === 'True') === true;
const isLive = (pod: Readonly<Pod>): boolean => pod.metadata.deletionTimestamp === undefined;

async function controlled(world: DemoWorld): Promise<Pod[]> {
  const list = await world.client.list(podKind, { namespace: world.namespace, labelSelector: 'from=controller' });
  return list.items as Pod[];
}

async function waitForReady(world: DemoWorld, count: number): Promise<Pod[]> {
  let pods: Pod[] = [];
  const ok = await waitUntil(
    async () => {
      pods = await controlled(world);
      return pods.length === count && pods.every((pod) => isReady(pod) && isLive(pod));
    },
    stepLimitMs,
    50,
  );
  if (!ok) {
    const shown = pods
      .map((pod) => `${pod.metadata.name}=${pod.status?.phase}${isReady(pod) ? '/ready' : ''}`)
      .join(' ');
    throw new PintleError(
      'DEMO_FAILED',
      `expected ${count} ready pods, have ${pods.length}: ${shown}`,
      `look at them: ./pintle kubectl describe pods -n ${world.namespace}`,
    );
  }
  return pods;
}

async function virtualAddress(world: DemoWorld): Promise<string> {
  const service = (await world.client.get(serviceKind, { namespace: world.namespace, name: 'demo' })) as {
    spec?: { clusterIP?: string };
  };
  return `${service.spec?.clusterIP}:${world.servicePort}`;
}

async function askOnce(address: string): Promise<string | undefined> {
  try {
    const response = await fetch(`http://${address}/`, {
      keepalive: false,
      headers: { connection: 'close' },
      signal: AbortSignal.timeout(2_000),
    });
    return response.ok ? (await response.text()).trim() : undefined;
  } catch {
    return undefined;
  }
}

/** Asks until exactly these pods have answered; an answer of any other fails at once. */
async function answeredBy(world: DemoWorld, names: readonly string[]): Promise<number> {
  const address = await virtualAddress(world);
  const seen = new Set<string>();
  let asked = 0;
  const ok = await waitUntil(
    async () => {
      const answer = await askOnce(address);
      asked++;
      if (answer !== undefined && names.includes(answer)) seen.add(answer);
      return seen.size === names.length;
    },
    30_000,
    1,
  );
  if (!ok)
    throw new PintleError(
      'DEMO_FAILED',
      `http://${address}/ was answered by ${[...seen].join(', ') || 'nobody'}, expected ${names.join(', ')}`,
      './pintle doctor, then ./pintle logs node',
    );
  return asked;
}

async function scale(world: DemoWorld, replicas: number): Promise<void> {
  await world.client.patch(
    replicationControllerKind,
    { namespace: world.namespace, name: 'demo' },
    { type: 'merge', body: { spec: { replicas } } },
  );
}

export const demoSteps: readonly DemoStep[] = [
  {
    title: 'a replication controller starts 3 pods',
    async work(world) {
      await world.client.create(namespaceKind, as(namespaceOf(world.namespace)));
      await world.client.create(serviceKind as Kind<KubeObject>, as(serviceOf(world.namespace, world.servicePort)));
      await world.client.create(replicationControllerKind as Kind<KubeObject>, as(controllerOf(world.namespace, 3)));
      const pods = await waitForReady(world, 3);
      return `3 pods are Ready: ${pods.map((pod) => `${pod.metadata.name} ${pod.status?.podIP}`).join(', ')}`;
    },
  },
  {
    title: 'the service’s virtual address is answered by all of them',
    async work(world) {
      const names = (await controlled(world)).map((pod) => pod.metadata.name!);
      const asked = await answeredBy(world, names);
      return `http://${await virtualAddress(world)}/ reached every pod within ${asked} requests`;
    },
  },
  {
    title: 'scaling to 5 and back to 3',
    async work(world) {
      await scale(world, 5);
      const five = await waitForReady(world, 5);
      await answeredBy(
        world,
        five.map((pod) => pod.metadata.name!),
      );
      await scale(world, 3);
      await waitForReady(world, 3);
      return 'exactly 5 pods answered, then exactly 3 were left';
    },
  },
  {
    title: 'a killed container comes back',
    async work(world) {
      const victim = (await controlled(world))[0]!;
      const before = victim.status?.containerStatuses?.[0]?.restartCount ?? 0;
      const observed = await world.runtime.observe(victim.metadata.uid!);
      const container = observed.containers.find((one) => one.state === 'running');
      if (!container)
        throw new PintleError(
          'DEMO_FAILED',
          `the runtime shows no running container of ${victim.metadata.name}`,
          './pintle logs node',
        );
      await world.runtime.stop(container.id, 0);
      const healed = await waitUntil(
        async () => {
          const pod = (await world.client.get(podKind, {
            namespace: world.namespace,
            name: victim.metadata.name!,
          })) as Pod;
          return (pod.status?.containerStatuses?.[0]?.restartCount ?? 0) > before && isReady(pod);
        },
        stepLimitMs,
        50,
      );
      if (!healed)
        throw new PintleError(
          'DEMO_FAILED',
          `${victim.metadata.name} did not come back`,
          `./pintle kubectl describe pod ${victim.metadata.name} -n ${world.namespace}`,
        );
      await answeredBy(
        world,
        (await waitForReady(world, 3)).map((pod) => pod.metadata.name!),
      );
      return `${victim.metadata.name} was restarted in place and answers again`;
    },
  },
  {
    title: 'a pod that is not ready gets no traffic',
    async work(world) {
      await world.client.create(podKind as Kind<KubeObject>, as(unreadyPod(world.namespace)));
      const runs = await waitUntil(
        async () => {
          const pod = (await world.client.get(podKind, { namespace: world.namespace, name: 'never-ready' })) as Pod;
          return pod.status?.phase === 'Running' && (pod.status.containerStatuses?.[0]?.started ?? false);
        },
        stepLimitMs,
        50,
      );
      if (!runs)
        throw new PintleError(
          'DEMO_FAILED',
          'the pod that should run without being ready does not run',
          `./pintle kubectl describe pod never-ready -n ${world.namespace}`,
        );
      const address = await virtualAddress(world);
      for (let index = 0; index < 60; index++)
        if ((await askOnce(address)) === 'never-ready')
          throw new PintleError(
            'DEMO_FAILED',
            'the service sent a request to a pod that is not ready',
            './pintle kubectl get endpointslices -o yaml',
          );
      return 'it runs, matches the service, and got none of 60 requests';
    },
  },
  {
    title: 'deleting the namespace removes everything',
    async work(world) {
      const uids = (await world.client.list(podKind, { namespace: world.namespace })).items.map(
        (pod) => (pod as KubeObject).metadata.uid!,
      );
      await world.client.delete(namespaceKind, { name: world.namespace });
      const gone = await waitUntil(
        async () => {
          try {
            await world.client.get(namespaceKind, { name: world.namespace });
            return false;
          } catch (error) {
            if (!isReason(error, 'NotFound')) throw error;
          }
          const left = await world.runtime.observe();
          return !left.sandboxes.some((sandbox) => uids.includes(sandbox.podUid));
        },
        stepLimitMs,
        100,
      );
      if (!gone)
        throw new PintleError(
          'DEMO_FAILED',
          `namespace ${world.namespace} or its containers did not go away`,
          `./pintle kubectl get namespace ${world.namespace} -o yaml`,
        );
      return 'the namespace, its objects and its containers are gone';
    },
  },
];
