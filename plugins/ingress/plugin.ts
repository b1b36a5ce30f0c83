import { type api, type ControllerSpec, type ControllerSpecs, ingressKind, type KubeObject, specOf } from '#sdk';
import { runPasses } from './passes.ts';

/** The cluster's side: addresses, events, copies of certificates, endpoints of the data planes. Everything in one pass. */
const controller: ControllerSpec<api.Ingress & KubeObject> = {
  name: 'ingress',
  watches: ingressKind,
  run: runPasses,
  reconciler: { async reconcile() {} }, // what one Ingress gets depends on all: see passes.ts
};

export default { controllers: [specOf(controller)] } satisfies ControllerSpecs;
