import { accept, refuse, type SchedulerPlugin } from '#sdk';

export const nodeName: SchedulerPlugin = {
  name: 'NodeName',
  retryOn: ['node'],
  filter: (pod, { node }) =>
    !pod.spec?.nodeName || pod.spec.nodeName === node.metadata.name
      ? accept
      : refuse("node(s) didn't match the requested node name"),
};
