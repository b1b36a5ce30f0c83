import { type ControllerSpecs, specOf } from '#sdk';
import { deploymentController } from './deployment/controller.ts';
import { replicaSetController } from './replica-set.ts';

/** The controllers of deployments and replica sets. */
export default { controllers: [specOf(replicaSetController), specOf(deploymentController)] } satisfies ControllerSpecs;
