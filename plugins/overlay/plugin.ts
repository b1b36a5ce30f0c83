import { type ControllerSpecs, specOf } from '#sdk';
import { leaseController } from './lease-controller.ts';
import { networkController } from './network-controller.ts';

/** A subnet for each host; and for the cluster the backend, its changes and the relays. */
export default { controllers: [specOf(leaseController), specOf(networkController)] } satisfies ControllerSpecs;
