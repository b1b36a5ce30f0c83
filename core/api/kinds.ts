import type * as t from './gen/types.ts';
import type { Kind, KubeObject } from './meta.ts';

type As<T> = T & KubeObject;
type More = Partial<Pick<Kind, 'shortNames' | 'categories' | 'verbs' | 'virtual' | 'storedAs'>>;

/** Kinds of one group in version v1; `types` is the prefix of their ids in the facts table. */
const group =
  (name: string, types: string) =>
  <T>(kind: string, plural: string, namespaced: boolean, more: More = {}): Kind<As<T>> => ({
    group: name,
    version: 'v1',
    kind,
    plural,
    singular: kind.toLowerCase(),
    namespaced,
    type: `${types}.${kind}`,
    ...more,
  });
const inNamespace = true;
const clusterWide = false;
const all = ['all'];

const core = group('', 'io.k8s.api.core.v1');
export const namespaceKind = core<t.Namespace>('Namespace', 'namespaces', clusterWide, {
  shortNames: ['ns'],
  verbs: ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'],
});
export const nodeKind = core<t.Node>('Node', 'nodes', clusterWide, { shortNames: ['no'] });
export const podKind = core<t.Pod>('Pod', 'pods', inNamespace, { shortNames: ['po'], categories: all });
export const replicationControllerKind = core<t.ReplicationController>(
  'ReplicationController',
  'replicationcontrollers',
  inNamespace,
  { shortNames: ['rc'], categories: all },
);
export const serviceKind = core<t.Service>('Service', 'services', inNamespace, {
  shortNames: ['svc'],
  categories: all,
});
export const endpointsKind = core<t.Endpoints>('Endpoints', 'endpoints', inNamespace, { shortNames: ['ep'] });
export const eventKind = core<t.Event>('Event', 'events', inNamespace, { shortNames: ['ev'] });
export const configMapKind = core<t.ConfigMap>('ConfigMap', 'configmaps', inNamespace, { shortNames: ['cm'] });
export const secretKind = core<t.Secret>('Secret', 'secrets', inNamespace);
export const serviceAccountKind = core<t.ServiceAccount>('ServiceAccount', 'serviceaccounts', inNamespace, {
  shortNames: ['sa'],
});
export const limitRangeKind = core<t.LimitRange>('LimitRange', 'limitranges', inNamespace, { shortNames: ['limits'] });
export const resourceQuotaKind = core<t.ResourceQuota>('ResourceQuota', 'resourcequotas', inNamespace, {
  shortNames: ['quota'],
});
export const persistentVolumeKind = core<t.PersistentVolume>('PersistentVolume', 'persistentvolumes', clusterWide, {
  shortNames: ['pv'],
});
export const persistentVolumeClaimKind = core<t.PersistentVolumeClaim>(
  'PersistentVolumeClaim',
  'persistentvolumeclaims',
  inNamespace,
  { shortNames: ['pvc'] },
);
export const podTemplateKind = core<t.PodTemplate>('PodTemplate', 'podtemplates', inNamespace);
export const bindingKind = core<t.Binding>('Binding', 'bindings', inNamespace, { virtual: true, verbs: ['create'] });
export const componentStatusKind = core<t.ComponentStatus>('ComponentStatus', 'componentstatuses', clusterWide, {
  virtual: true,
  shortNames: ['cs'],
  verbs: ['get', 'list'],
});

const events = group('events.k8s.io', 'io.k8s.api.events.v1');
/** The newer form of core events: the same objects, stored once. */
export const eventsEventKind = events<t.EventsEvent>('Event', 'events', inNamespace, {
  shortNames: ['ev'],
  storedAs: eventKind as Kind,
});

const discovery = group('discovery.k8s.io', 'io.k8s.api.discovery.v1');
export const endpointSliceKind = discovery<t.EndpointSlice>('EndpointSlice', 'endpointslices', inNamespace);

const coordination = group('coordination.k8s.io', 'io.k8s.api.coordination.v1');
export const leaseKind = coordination<t.Lease>('Lease', 'leases', inNamespace);

const rbac = group('rbac.authorization.k8s.io', 'io.k8s.api.rbac.v1');
export const roleKind = rbac<t.Role>('Role', 'roles', inNamespace);
export const roleBindingKind = rbac<t.RoleBinding>('RoleBinding', 'rolebindings', inNamespace);
export const clusterRoleKind = rbac<t.ClusterRole>('ClusterRole', 'clusterroles', clusterWide);
export const clusterRoleBindingKind = rbac<t.ClusterRoleBinding>(
  'ClusterRoleBinding',
  'clusterrolebindings',
  clusterWide,
);

const review: More = { virtual: true, verbs: ['create'] };
const authentication = group('authentication.k8s.io', 'io.k8s.api.authentication.v1');
export const tokenReviewKind = authentication<t.TokenReview>('TokenReview', 'tokenreviews', clusterWide, review);
export const selfSubjectReviewKind = authentication<t.SelfSubjectReview>(
  'SelfSubjectReview',
  'selfsubjectreviews',
  clusterWide,
  review,
);
const authorization = group('authorization.k8s.io', 'io.k8s.api.authorization.v1');
export const subjectAccessReviewKind = authorization<t.SubjectAccessReview>(
  'SubjectAccessReview',
  'subjectaccessreviews',
  clusterWide,
  review,
);
export const selfSubjectAccessReviewKind = authorization<t.SelfSubjectAccessReview>(
  'SelfSubjectAccessReview',
  'selfsubjectaccessreviews',
  clusterWide,
  review,
);
export const localSubjectAccessReviewKind = authorization<t.LocalSubjectAccessReview>(
  'LocalSubjectAccessReview',
  'localsubjectaccessreviews',
  inNamespace,
  review,
);
export const selfSubjectRulesReviewKind = authorization<t.SelfSubjectRulesReview>(
  'SelfSubjectRulesReview',
  'selfsubjectrulesreviews',
  clusterWide,
  review,
);

const certificates = group('certificates.k8s.io', 'io.k8s.api.certificates.v1');
export const certificateSigningRequestKind = certificates<t.CertificateSigningRequest>(
  'CertificateSigningRequest',
  'certificatesigningrequests',
  clusterWide,
  { shortNames: ['csr'] },
);
export const clusterTrustBundleKind = certificates<t.ClusterTrustBundle>(
  'ClusterTrustBundle',
  'clustertrustbundles',
  clusterWide,
);
export const podCertificateRequestKind = certificates<t.PodCertificateRequest>(
  'PodCertificateRequest',
  'podcertificaterequests',
  inNamespace,
);

const extensions: More = { categories: ['api-extensions'] };
const admission = group('admissionregistration.k8s.io', 'io.k8s.api.admissionregistration.v1');
export const mutatingWebhookConfigurationKind = admission<t.MutatingWebhookConfiguration>(
  'MutatingWebhookConfiguration',
  'mutatingwebhookconfigurations',
  clusterWide,
  extensions,
);
export const validatingWebhookConfigurationKind = admission<t.ValidatingWebhookConfiguration>(
  'ValidatingWebhookConfiguration',
  'validatingwebhookconfigurations',
  clusterWide,
  extensions,
);
export const validatingAdmissionPolicyKind = admission<t.ValidatingAdmissionPolicy>(
  'ValidatingAdmissionPolicy',
  'validatingadmissionpolicies',
  clusterWide,
  extensions,
);
export const validatingAdmissionPolicyBindingKind = admission<t.ValidatingAdmissionPolicyBinding>(
  'ValidatingAdmissionPolicyBinding',
  'validatingadmissionpolicybindings',
  clusterWide,
  extensions,
);
export const mutatingAdmissionPolicyKind = admission<t.MutatingAdmissionPolicy>(
  'MutatingAdmissionPolicy',
  'mutatingadmissionpolicies',
  clusterWide,
  extensions,
);
export const mutatingAdmissionPolicyBindingKind = admission<t.MutatingAdmissionPolicyBinding>(
  'MutatingAdmissionPolicyBinding',
  'mutatingadmissionpolicybindings',
  clusterWide,
  extensions,
);
const registration = group('apiregistration.k8s.io', 'io.k8s.kube-aggregator.pkg.apis.apiregistration.v1');
export const apiServiceKind = registration<t.APIService>('APIService', 'apiservices', clusterWide, extensions);

const scheduling = group('scheduling.k8s.io', 'io.k8s.api.scheduling.v1');
export const priorityClassKind = scheduling<t.PriorityClass>('PriorityClass', 'priorityclasses', clusterWide, {
  shortNames: ['pc'],
});
const node = group('node.k8s.io', 'io.k8s.api.node.v1');
export const runtimeClassKind = node<t.RuntimeClass>('RuntimeClass', 'runtimeclasses', clusterWide);

const flowcontrol = group('flowcontrol.apiserver.k8s.io', 'io.k8s.api.flowcontrol.v1');
export const flowSchemaKind = flowcontrol<t.FlowSchema>('FlowSchema', 'flowschemas', clusterWide);
export const priorityLevelConfigurationKind = flowcontrol<t.PriorityLevelConfiguration>(
  'PriorityLevelConfiguration',
  'prioritylevelconfigurations',
  clusterWide,
);

const policy = group('policy', 'io.k8s.api.policy.v1');
export const podDisruptionBudgetKind = policy<t.PodDisruptionBudget>(
  'PodDisruptionBudget',
  'poddisruptionbudgets',
  inNamespace,
  { shortNames: ['pdb'] },
);

const storage = group('storage.k8s.io', 'io.k8s.api.storage.v1');
export const storageClassKind = storage<t.StorageClass>('StorageClass', 'storageclasses', clusterWide, {
  shortNames: ['sc'],
});
export const volumeAttachmentKind = storage<t.VolumeAttachment>('VolumeAttachment', 'volumeattachments', clusterWide);
export const csiDriverKind = storage<t.CSIDriver>('CSIDriver', 'csidrivers', clusterWide);
export const csiNodeKind = storage<t.CSINode>('CSINode', 'csinodes', clusterWide);
export const csiStorageCapacityKind = storage<t.CSIStorageCapacity>(
  'CSIStorageCapacity',
  'csistoragecapacities',
  inNamespace,
);
export const volumeAttributesClassKind = storage<t.VolumeAttributesClass>(
  'VolumeAttributesClass',
  'volumeattributesclasses',
  clusterWide,
  { shortNames: ['vac'] },
);
const migration = group('storagemigration.k8s.io', 'io.k8s.api.storagemigration.v1');
export const storageVersionMigrationKind = migration<t.StorageVersionMigration>(
  'StorageVersionMigration',
  'storageversionmigrations',
  clusterWide,
);

const networking = group('networking.k8s.io', 'io.k8s.api.networking.v1');
export const ingressKind = networking<t.Ingress>('Ingress', 'ingresses', inNamespace, { shortNames: ['ing'] });
export const ingressClassKind = networking<t.IngressClass>('IngressClass', 'ingressclasses', clusterWide);
export const networkPolicyKind = networking<t.NetworkPolicy>('NetworkPolicy', 'networkpolicies', inNamespace, {
  shortNames: ['netpol'],
});
export const ipAddressKind = networking<t.IPAddress>('IPAddress', 'ipaddresses', clusterWide, { shortNames: ['ip'] });
export const serviceCidrKind = networking<t.ServiceCIDR>('ServiceCIDR', 'servicecidrs', clusterWide);

const resource = group('resource.k8s.io', 'io.k8s.api.resource.v1');
export const deviceClassKind = resource<t.DeviceClass>('DeviceClass', 'deviceclasses', clusterWide);
export const deviceTaintRuleKind = resource<t.DeviceTaintRule>('DeviceTaintRule', 'devicetaintrules', clusterWide);
export const resourceClaimKind = resource<t.ResourceResourceClaim>('ResourceClaim', 'resourceclaims', inNamespace);
export const resourceClaimTemplateKind = resource<t.ResourceClaimTemplate>(
  'ResourceClaimTemplate',
  'resourceclaimtemplates',
  inNamespace,
);
export const resourceSliceKind = resource<t.ResourceSlice>('ResourceSlice', 'resourceslices', clusterWide);

export const builtinKinds: readonly Kind<KubeObject>[] = [
  namespaceKind,
  nodeKind,
  podKind,
  replicationControllerKind,
  serviceKind,
  endpointsKind,
  eventKind,
  configMapKind,
  secretKind,
  serviceAccountKind,
  limitRangeKind,
  resourceQuotaKind,
  persistentVolumeKind,
  persistentVolumeClaimKind,
  podTemplateKind,
  bindingKind,
  componentStatusKind,
  eventsEventKind,
  endpointSliceKind,
  leaseKind,
  roleKind,
  roleBindingKind,
  clusterRoleKind,
  clusterRoleBindingKind,
  tokenReviewKind,
  selfSubjectReviewKind,
  subjectAccessReviewKind,
  selfSubjectAccessReviewKind,
  localSubjectAccessReviewKind,
  selfSubjectRulesReviewKind,
  certificateSigningRequestKind,
  clusterTrustBundleKind,
  podCertificateRequestKind,
  mutatingWebhookConfigurationKind,
  validatingWebhookConfigurationKind,
  validatingAdmissionPolicyKind,
  validatingAdmissionPolicyBindingKind,
  mutatingAdmissionPolicyKind,
  mutatingAdmissionPolicyBindingKind,
  apiServiceKind,
  priorityClassKind,
  runtimeClassKind,
  flowSchemaKind,
  priorityLevelConfigurationKind,
  podDisruptionBudgetKind,
  storageClassKind,
  volumeAttachmentKind,
  csiDriverKind,
  csiNodeKind,
  csiStorageCapacityKind,
  volumeAttributesClassKind,
  storageVersionMigrationKind,
  ingressKind,
  ingressClassKind,
  networkPolicyKind,
  ipAddressKind,
  serviceCidrKind,
  deviceClassKind,
  deviceTaintRuleKind,
  resourceClaimKind,
  resourceClaimTemplateKind,
  resourceSliceKind,
] as readonly Kind<KubeObject>[];
