import { compareQuantities, errors, type Pod, type RuntimeClass, runtimeClassKind } from '#api';
import type { AdmissionHook, AdmissionRequest, Reader } from '../contract.ts';

type Amounts = Readonly<Record<string, string>>;

/** A pod that names a runtime class takes over what the class costs beside the containers, and where it can run. */
export const runtimeClass = (reader: Reader): AdmissionHook => ({
  name: 'RuntimeClass',
  mutate(request) {
    const pod = podOf(request);
    const found = pod && classOf(request, pod, reader);
    if (!pod?.spec || !found) return;
    const { spec } = pod;
    const fixed = found.overhead?.podFixed;
    if (found.overhead && spec.overhead && Object.keys(spec.overhead).length > 0 && !isSame(fixed, spec.overhead))
      throw refuse(request, mismatch);
    if (fixed) spec.overhead = { ...fixed };
    if (!found.scheduling) return;
    const { nodeSelector = {}, tolerations = [] } = found.scheduling;
    for (const [key, value] of Object.entries(nodeSelector)) {
      const own = spec.nodeSelector?.[key];
      if (own !== undefined && own !== value)
        throw refuse(
          request,
          `conflict: runtimeClass.scheduling.nodeSelector[${key}] = ${value}; pod.spec.nodeSelector[${key}] = ${own}`,
        );
      spec.nodeSelector = { ...spec.nodeSelector, [key]: value };
    }
    const known = spec.tolerations ?? [];
    const more = tolerations.filter((one) => !known.some((other) => Bun.deepEquals(one, other)));
    if (more.length > 0) spec.tolerations = [...known, ...more];
  },
  validate(request) {
    const pod = podOf(request);
    if (!pod?.spec) return;
    const fixed = classOf(request, pod, reader)?.overhead?.podFixed;
    if (fixed) {
      if (!isSame(fixed, pod.spec.overhead)) throw refuse(request, mismatch);
    } else if (pod.spec.overhead)
      throw refuse(request, 'pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead');
  },
});
const mismatch = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";

function podOf({ operation, kind, subresource, object }: AdmissionRequest): Pod | undefined {
  const isPod = operation === 'CREATE' && kind.plural === 'pods' && !kind.group && !subresource;
  return isPod ? (object as unknown as Pod | undefined) : undefined;
}
function classOf(request: AdmissionRequest, pod: Readonly<Pod>, reader: Reader): RuntimeClass | undefined {
  const name = pod.spec?.runtimeClassName;
  if (name === undefined) return undefined;
  const found = reader.get(runtimeClassKind, '', name) as RuntimeClass | undefined;
  if (!found) throw refuse(request, `pod rejected: RuntimeClass ${JSON.stringify(name)} not found`);
  return found;
}
const refuse = ({ name }: AdmissionRequest, why: string) => errors.forbidden('pods', name, why);

const isSame = (a: Amounts | undefined, b: Amounts | undefined): boolean => {
  const [left, right] = [a ?? {}, b ?? {}];
  const names = new Set([...Object.keys(left), ...Object.keys(right)]);
  return [...names].every(
    (name) => left[name] !== undefined && right[name] !== undefined && compareQuantities(left[name], right[name]) === 0,
  );
};
