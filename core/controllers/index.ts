import { type ControllerSpec, specOf } from '#sdk';
import { endpointsController } from './endpoints.ts';
import { replicationController } from './replication.ts';
import { serviceAccountController } from './serviceaccount.ts';

export interface CoreControllersOptions {
  /** PEM of the certificate authority that pods shall trust. */
  readonly rootCa: string;
}

/** The controllers without which a cluster is none. */
export const coreControllers = (options: CoreControllersOptions): ControllerSpec<never>[] => [
  specOf(replicationController),
  specOf(endpointsController),
  specOf(serviceAccountController(options.rootCa)),
];
