import { type ApiPart, ensureRights, type Rights, userSubject } from '#sdk';

const verbs = ['get', 'list', 'watch'];

/** What the node parts read beyond the service proxy, whose informers they share: selectors are looked up in all of it. */
const rights: readonly Rights[] = [
  {
    name: 'system:pintle:network-policy',
    rules: [
      { apiGroups: [''], resources: ['pods', 'namespaces'], verbs },
      { apiGroups: ['networking.k8s.io'], resources: ['networkpolicies'], verbs },
    ],
    subject: userSubject('system:kube-proxy'),
  },
];

export default {
  name: 'network-policy',
  start: (context) => ensureRights(context, rights),
} satisfies ApiPart;
