// The words of the Kubernetes API that plugins need, so that they import one door alone.
export type { Clock, DuplexChild, Files, Log, Random } from '#base';
export {
  durationText,
  MetricsPage,
  messageOf,
  ownProgram,
  randomUuid,
  Scope,
  systemClock,
  timeText,
  withNextStep,
} from '#base';
export type { Client, Informer, InformerFactory } from '#client';
/** Words of net/backend.ts. */
export type * as network from '#net/backend';
export { canonicalCidr, canonicalIp, cidrContains, disjointCidrs } from '../../net/cidr.ts';
export type {
  AllowRule,
  Direction,
  ElementChange,
  Family,
  FilterChain,
  FilterChange,
  FilterMatch,
  PacketFilter,
  PortRange,
  Protocol,
  SetKind,
} from '../../net/packet-filter.ts';
export { familyOf, floodedRanges, standingNames } from '../../net/packet-filter.ts';
/** Ranges of addresses as whole numbers: counted, compared, cut. */
export * as ranges from '../../net/ranges.ts';
export * from '../api/facts.ts';
/** Every type of the API, for the rarer ones: `api.Container`. */
export type * as api from '../api/gen/types.ts';
export type {
  ConfigMap,
  CustomResourceDefinition,
  CustomResourceDefinitionVersion,
  EndpointSlice,
  LabelSelector,
  ListMeta,
  Node,
  ObjectMeta,
  PersistentVolumeClaim,
  Pod,
  PodSpec,
  PodTemplateSpec,
  ReplicationController,
  Service,
} from '../api/gen/types.ts';
export * from '../api/kinds.ts';
export * from '../api/meta.ts';
export * from '../api/quantity.ts';
export * from '../api/selectors.ts';
export * from '../api/status.ts';
