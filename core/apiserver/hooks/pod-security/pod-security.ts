import {
  errors,
  fieldErrors,
  invalidObject,
  type KubeObject,
  type Namespace,
  namespaceKind,
  type Pod,
  podKind,
} from '#api';
import { tableOf } from '#base';
import type { AdmissionHook, AdmissionRequest, Reader } from '../../contract.ts';
import { baselineChecks, type Check, restrictedChecks, type Violation } from './checks.ts';

const prefix = 'pod-security.kubernetes.io/';
const checksOf = tableOf<readonly Check[]>({
  privileged: [],
  baseline: baselineChecks,
  restricted: restrictedChecks,
});
type Mode = 'enforce' | 'audit' | 'warn';
interface Level {
  readonly level: string;
  readonly version: string;
}

const levelOf = (labels: Readonly<Record<string, string>> | undefined, mode: Mode): Level => ({
  level: labels?.[`${prefix}${mode}`] ?? 'privileged',
  version: labels?.[`${prefix}${mode}-version`] ?? 'latest',
});
const levelText = ({ level, version }: Level): string => JSON.stringify(`${level}:${version}`);
/** A level that nobody knows is the strictest. */
export function violations(pod: Readonly<Pod>, { level }: Pick<Level, 'level'>): Violation[] {
  const spec = pod.spec;
  if (!spec) return [];
  return (checksOf[level] ?? restrictedChecks).flatMap((check) => check(pod, spec) ?? []);
}
export const violationText = ({ reason, detail }: Violation): string => (detail ? `${reason} (${detail})` : reason);
const violationTexts = (found: readonly Violation[]): string => found.map(violationText).join(', ');

/** Pods are held to the level that labels of their namespace name: refused, or warned about. */
export const podSecurity = (reader: Reader): AdmissionHook => ({
  name: 'PodSecurity',
  validate(request) {
    const { kind, operation, subresource, object } = request;
    if (kind.group || !object || operation === 'DELETE') return;
    if (kind.plural === 'namespaces' && !subresource) checkNamespace(request, reader);
    if (kind.plural === 'pods') checkPod(request, reader);
    if ((kind.plural === 'replicationcontrollers' || kind.plural === 'podtemplates') && !subresource)
      warnTemplate(request, reader);
  },
});

const labelsOf = (reader: Reader, namespace: string) =>
  (reader.get(namespaceKind, '', namespace) as Namespace | undefined)?.metadata?.labels;

function checkPod({ object, current, subresource, namespace, warn }: AdmissionRequest, reader: Reader): void {
  if (subresource && subresource !== 'ephemeralcontainers') return;
  const labels = labelsOf(reader, namespace);
  const pod = object as KubeObject & Pod;
  if (current && !isSignificant(pod, current as KubeObject & Pod)) return;
  const enforce = levelOf(labels, 'enforce');
  const found = violations(pod, enforce);
  if (found.length > 0)
    throw errors.forbidden(
      'pods',
      pod.metadata.name ?? '',
      `violates PodSecurity ${levelText(enforce)}: ${violationTexts(found)}`,
    );
  warnOf(pod, levelOf(labels, 'warn'), warn);
}
function warnOf(pod: Readonly<Pod>, level: Level, warn: (text: string) => void): void {
  const found = violations(pod, level);
  if (found.length > 0) warn(`would violate PodSecurity ${levelText(level)}: ${violationTexts(found)}`);
}
function warnTemplate({ object, namespace, warn }: AdmissionRequest, reader: Reader): void {
  const holder = object as unknown as { spec?: { template?: Pod }; template?: Pod };
  const template = holder.spec?.template ?? holder.template;
  if (template) warnOf(template, levelOf(labelsOf(reader, namespace), 'warn'), warn);
}

/** Of what an update may change, only images and added containers matter. */
function isSignificant(next: Readonly<Pod>, current: Readonly<Pod>): boolean {
  const [mine, old] = [next.spec, current.spec];
  return (['initContainers', 'containers', 'ephemeralContainers'] as const).some(
    (list) => !Bun.deepEquals(mine?.[list], old?.[list], false),
  );
}

const podsShownMax = 20;
const podsCheckedMax = 3000;

function checkNamespace({ object, current, warn, name }: AdmissionRequest, reader: Reader): void {
  const labels = object!.metadata.labels ?? {};
  const mistakes = (['enforce', 'audit', 'warn'] as const).flatMap((mode) => {
    const { level, version } = levelOf(labels, mode);
    const path = (suffix: string) => `metadata.labels[${prefix}${mode}${suffix}]`;
    return [
      ...(checksOf[level]
        ? []
        : [fieldErrors.invalid(path(''), level, 'must be one of privileged, baseline, restricted')]),
      ...(/^(latest|v1\.(0|[1-9]\d*))$/.test(version)
        ? []
        : [fieldErrors.invalid(path('-version'), version, 'must be "latest" or "v1.x"')]),
    ];
  });
  if (mistakes.length > 0) throw invalidObject('Namespace', '', name, mistakes);
  const enforce = levelOf(labels, 'enforce');
  const before = levelOf(current?.metadata.labels, 'enforce');
  if (!current || levelText(enforce) === levelText(before) || enforce.level === 'privileged') return;
  const found = new Map<string, string[]>();
  for (const pod of reader.list(podKind, name).slice(0, podsCheckedMax)) {
    const text = violations(pod, enforce)
      .map(({ reason }) => reason)
      .join(', ');
    if (text) found.set(text, [...(found.get(text) ?? []), pod.metadata.name ?? '']);
  }
  if (found.size === 0) return;
  warn(
    `existing pods in namespace ${JSON.stringify(name)} violate the new PodSecurity enforce level ${levelText(enforce)}`,
  );
  for (const [text, pods] of [...found].slice(0, podsShownMax)) {
    const [first, ...others] = pods.sort();
    const more =
      others.length === 0 ? '' : others.length === 1 ? ' (and 1 other pod)' : ` (and ${others.length} other pods)`;
    warn(`${first}${more}: ${text}`);
  }
}
