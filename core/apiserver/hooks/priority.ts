import { errors, type Pod, type PriorityClass, priorityClassKind } from '#api';
import type { AdmissionHook, Reader } from '../contract.ts';

/** A pod's priority comes from its class, else from the cluster's default class, else it is 0. */
export const priority = (reader: Reader): AdmissionHook => ({
  name: 'Priority',
  mutate({ operation, kind, subresource, object, current, name }) {
    if (kind.plural !== 'pods' || kind.group || subresource || !object) return;
    const { spec } = object as typeof object & Pod;
    if (!spec) return;
    if (operation === 'UPDATE') {
      const before = (current as Pod | undefined)?.spec;
      spec.priority ??= before?.priority;
      spec.preemptionPolicy ??= before?.preemptionPolicy;
      return;
    }
    const refuse = (why: string) => errors.forbidden('pods', name, why);
    const asked = spec.priorityClassName;
    const found = asked
      ? (reader.get(priorityClassKind, '', asked) as PriorityClass | undefined)
      : defaultClass(reader);
    if (asked && !found) throw refuse(`no PriorityClass with name ${asked} was found`);
    if (found) spec.priorityClassName = found.metadata.name;
    const value = found?.value ?? 0;
    if (spec.priority !== undefined && spec.priority !== value)
      throw refuse(
        `the integer value of priority (${spec.priority}) must not be provided in pod spec; priority admission controller computed ${value} from the given PriorityClass name`,
      );
    const policy = found?.preemptionPolicy ?? 'PreemptLowerPriority';
    if (spec.preemptionPolicy !== undefined && spec.preemptionPolicy !== policy)
      throw refuse(
        `the string value of PreemptionPolicy (${spec.preemptionPolicy}) must not be provided in pod spec; priority admission controller computed ${policy} from the given PriorityClass name`,
      );
    spec.priority = value;
    spec.preemptionPolicy = policy;
  },
  validate({ operation, kind, object, name }) {
    if (kind.plural !== 'priorityclasses' || operation === 'DELETE' || !object) return;
    if (!(object as unknown as PriorityClass).globalDefault) return;
    const other = defaultClass(reader);
    if (other && (operation === 'CREATE' || other.metadata.name !== name))
      throw errors.forbidden(
        'priorityclasses.scheduling.k8s.io',
        name,
        `PriorityClass ${other.metadata.name} is already marked as default. Only one default can exist`,
      );
  },
});

/** Should there be several, the lowest. */
function defaultClass(reader: Reader): Readonly<PriorityClass> | undefined {
  return reader
    .list(priorityClassKind)
    .filter((candidate) => candidate.globalDefault)
    .sort((a, b) => (a.value ?? 0) - (b.value ?? 0))[0];
}
