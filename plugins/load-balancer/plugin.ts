import { type ControllerSpecs, specOf } from '#sdk';
import { addressController } from './address-controller.ts';
import { poolController } from './pool-controller.ts';

/** Addresses of pools for services of type LoadBalancer. */
export default { controllers: [specOf(addressController), specOf(poolController)] } satisfies ControllerSpecs;
