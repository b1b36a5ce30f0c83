import { accept, refuse, type SchedulerPlugin } from '#sdk';

/** A pod that names its node goes nowhere else. */
export const nodeName: SchedulerPlugin = {
  name: 'NodeName',
  retryOn: ['node'],
  filter: (pod, { node }) =>
    !pod.spec?.nodeName || pod.spec.nodeName === node.metadata.name
      ? accept
      : refuse("node(s) didn't match the requested node name"),
};
