import {
  type AnyKind,
  type ApiPart,
  type ApiPartContext,
  type CustomResourceDefinition,
  ensureRights,
  isReason,
  type Kind,
  type KubeObject,
  secretKind,
  serveDefinition,
} from '#sdk';
import hostLeases from '../../crds/gen/hostleases.json';
import overlayNetworks from '../../crds/gen/overlaynetworks.json';
import { overlayAdmission } from './admission.ts';
import { hostLeaseKind, networkName, type OverlayNetwork, overlayNetworkKind, presharedSecret } from './kinds.ts';
import { overlayRights } from './rights.ts';

type Definition = CustomResourceDefinition & KubeObject;
const fieldManager = 'pintle-overlay';

/** The two kinds, what holds for them, who may do what, and the one OverlayNetwork. */
export default {
  name: 'overlay',
  async start(context: ApiPartContext) {
    context.admit(overlayAdmission(context.reader));
    await ensureRights(context, overlayRights);
    for (const [kind, definition] of [
      [overlayNetworkKind, overlayNetworks],
      [hostLeaseKind, hostLeases],
    ] as const)
      await serveDefinition(context, kind as AnyKind, definition as unknown as Definition, fieldManager);
    await ensureNetwork(context);
    keepPresharedKey(context);
  },
} satisfies ApiPart;

/** With the cluster's own ranges, once. Whoever changes its settings keeps them. */
async function ensureNetwork({ cluster, objects, reader, log }: ApiPartContext): Promise<void> {
  const there = reader.get(overlayNetworkKind, '', networkName);
  const ranges = cluster?.podRanges ?? [];
  if (there) {
    if (ranges.length > 0 && !Bun.deepEquals([...ranges], there.spec.ranges))
      log.error('the overlay has other ranges than this API server was started with; those of the overlay hold', {
        overlay: there.spec.ranges,
        server: ranges,
      });
    return;
  }
  if (ranges.length === 0) throw new Error('the overlay needs the pod ranges of the cluster, and there are none');
  const object = { apiVersion: 'net.pintle.dev/v1', kind: 'OverlayNetwork', metadata: { name: networkName } };
  await objects.create(overlayNetworkKind, { ...object, spec: { ranges } } as unknown as KubeObject).catch((error) => {
    if (!isReason(error, 'AlreadyExists')) throw error; // another API server was faster
  });
}

const keyBytes = 32;
/** Made here, so that no component needs the right to write secrets. It stays when the setting is taken back: keys of pairs must not change by it. */
function keepPresharedKey({ reader, objects, log, scope }: ApiPartContext): void {
  const see = (network: Readonly<OverlayNetwork> | undefined): void => {
    const { namespace, name } = presharedSecret;
    if (!network?.spec.presharedKeys || reader.get(secretKind, namespace, name)) return;
    const key = Buffer.from(crypto.getRandomValues(new Uint8Array(keyBytes))).toString('base64');
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: presharedSecret, type: 'Opaque', data: { key } };
    void objects.create(secretKind as Kind, secret as unknown as KubeObject).catch((error: unknown) => {
      if (!isReason(error, 'AlreadyExists') && !scope.signal.aborted)
        log.error('the secret for pre-shared keys could not be made', { error: String(error) });
    });
  };
  reader.onChange?.(overlayNetworkKind, see);
}
