import { type IPAddress, ipAddressKind, type KubeObject, type ServiceCIDR, serviceCidrKind } from '#api';
import { timeText } from '#base';
import type { ControllerSpec, ReconcileContext } from '#sdk';
import { mayGo, rangesBeside, rangesWith } from './plan-service-cidr.ts';

const finalizer = 'networking.k8s.io/service-cidr-finalizer';
/** So long API servers may not have heard that a range is going, and give its addresses. As upstream. */
const goneAfterMs = 10_000;
type TheRange = ServiceCIDR & KubeObject;
const nameOf = ({ metadata }: Readonly<KubeObject>) => ({ name: metadata.name! });
const listed = ({ informers }: Pick<ReconcileContext, 'informers'>) => informers.informer(serviceCidrKind).cache.list();

/** Ranges of service addresses: Ready as long as they may be used, and held while an address has no other range. */
export const serviceCidrController: ControllerSpec<TheRange> = {
  name: 'service-cidr-controller',
  watches: serviceCidrKind,
  workersMax: 1,
  alsoOn: [
    {
      kind: serviceCidrKind,
      keys: (range: TheRange, informers) => rangesBeside(listed({ informers }), range).map(nameOf),
    },
    {
      kind: ipAddressKind,
      keys: (address: IPAddress & KubeObject, informers) => rangesWith(listed({ informers }), address).map(nameOf),
    },
  ],
  reconciler: {
    async reconcile(key, range, context) {
      if (!range) return;
      const { client, informers, clock } = context;
      const { deletionTimestamp, finalizers = [] } = range.metadata;
      if (!deletionTimestamp) {
        if (!finalizers.includes(finalizer))
          await client.patch(serviceCidrKind, key, {
            type: 'strategic',
            body: { metadata: { finalizers: [finalizer] } },
          });
        return setReady(range, 'True', '', 'Kubernetes Service CIDR is ready', context);
      }
      if (!finalizers.includes(finalizer)) return;
      if (!mayGo(range, listed(context), informers.informer(ipAddressKind).cache.list())) {
        const message =
          'There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR';
        return setReady(range, 'False', 'Terminating', message, context);
      }
      const leftMs = Date.parse(deletionTimestamp) + goneAfterMs - clock.now();
      if (leftMs > 0) return { requeueAfterMs: leftMs };
      await client.patch(serviceCidrKind, key, {
        type: 'strategic',
        body: { metadata: { '$deleteFromPrimitiveList/finalizers': [finalizer] } },
      });
    },
  },
};

async function setReady(
  range: Readonly<TheRange>,
  status: 'True' | 'False',
  reason: string,
  message: string,
  { client, clock }: ReconcileContext,
): Promise<void> {
  const now = range.status?.conditions?.find(({ type }) => type === 'Ready');
  if (now?.status === status && now.reason === reason && now.message === message) return;
  const lastTransitionTime = timeText(clock.now());
  const ready = { type: 'Ready', status, reason, message, lastTransitionTime };
  await client.patch(
    serviceCidrKind,
    nameOf(range),
    { type: 'strategic', body: { status: { conditions: [ready] } } },
    { subresource: 'status' },
  );
}
