import { type FieldError, fieldErrors, type Pod, type PodSpec, type PodTemplateSpec } from '#api';
import { checkAnnotations, checkLabels } from '../rules/metadata.ts';
import { dnsLabel, dnsSubdomain, qualifiedName } from '../rules/names.ts';
import {
  checkId,
  checkIp,
  checkName,
  checkOneOf,
  checkOneOfUnsorted,
  type Mistakes,
  sameJson,
} from '../rules/values.ts';
import { checkContainers, checkInitContainers } from './containers.ts';
import { checkEphemeralContainers } from './ephemeral.ts';

import { checkAffinity, checkSpread, checkTolerations } from './placement.ts';
import { checkVolumes } from './volumes.ts';

/** The spec of a pod or of a template; `field` is `spec` or `spec.template.spec`. Order as upstream reports. */
export function checkPodSpec(mistakes: Mistakes, spec: Readonly<PodSpec>, field: string): void {
  const rules = { volumes: checkVolumes(mistakes, spec, `${field}.volumes`), hostNetwork: spec.hostNetwork ?? false };
  const names = checkContainers(mistakes, `${field}.containers`, spec.containers, rules);
  checkInitContainers(mistakes, `${field}.initContainers`, spec.initContainers, names, rules);
  checkEphemeralContainers(mistakes, spec, rules);
  checkOneOfUnsorted(mistakes, `${field}.restartPolicy`, spec.restartPolicy, ['Always', 'OnFailure', 'Never']);
  checkOneOfUnsorted(mistakes, `${field}.dnsPolicy`, spec.dnsPolicy, [
    'ClusterFirstWithHostNet',
    'ClusterFirst',
    'Default',
    'None',
  ]);
  checkLabels(mistakes, spec.nodeSelector, `${field}.nodeSelector`);
  checkSecurity(mistakes, spec, field);
  checkAffinity(mistakes, `${field}.affinity`, spec.affinity);
  checkDns(mistakes, spec, field);
  checkGates(mistakes, spec, field);
  checkSpread(mistakes, `${field}.topologySpreadConstraints`, spec.topologySpreadConstraints);
  if (spec.serviceAccountName)
    checkName(mistakes, `${field}.serviceAccountName`, spec.serviceAccountName, dnsSubdomain);
  if (spec.nodeName) checkName(mistakes, `${field}.nodeName`, spec.nodeName, dnsSubdomain);
  const deadline = spec.activeDeadlineSeconds;
  if (deadline !== undefined && (deadline < 1 || deadline > 2147483647))
    mistakes.push(
      fieldErrors.invalid(`${field}.activeDeadlineSeconds`, deadline, 'must be between 1 and 2147483647, inclusive'),
    );
  if (spec.hostname) checkName(mistakes, `${field}.hostname`, spec.hostname, dnsLabel);
  if (spec.subdomain) checkName(mistakes, `${field}.subdomain`, spec.subdomain, dnsLabel);
  checkTolerations(mistakes, `${field}.tolerations`, spec.tolerations);
  checkAliases(mistakes, spec, field);
  if (spec.priorityClassName) checkName(mistakes, `${field}.priorityClassName`, spec.priorityClassName, dnsSubdomain);
  if (spec.runtimeClassName !== undefined)
    checkName(mistakes, `${field}.runtimeClassName`, spec.runtimeClassName, dnsSubdomain);
  if (spec.preemptionPolicy)
    checkOneOf(mistakes, `${field}.preemptionPolicy`, spec.preemptionPolicy, ['PreemptLowerPriority', 'Never']);
}

function checkSecurity(mistakes: Mistakes, spec: Readonly<PodSpec>, field: string): void {
  if (spec.shareProcessNamespace && spec.hostPID)
    mistakes.push(
      fieldErrors.invalid(
        `${field}.shareProcessNamespace`,
        true,
        'ShareProcessNamespace and HostPID cannot both be enabled',
      ),
    );
  const at = `${field}.securityContext`;
  const security = spec.securityContext;
  if (!security) return;
  checkId(mistakes, `${at}.fsGroup`, security.fsGroup);
  checkId(mistakes, `${at}.runAsUser`, security.runAsUser);
  checkId(mistakes, `${at}.runAsGroup`, security.runAsGroup);
  for (const [index, group] of (security.supplementalGroups ?? []).entries())
    checkId(mistakes, `${at}.supplementalGroups[${index}]`, group);
  const names = new Set<string>();
  for (const [index, sysctl] of (security.sysctls ?? []).entries()) {
    const name = `${at}.sysctls[${index}].name`;
    if (!sysctl.name) mistakes.push(fieldErrors.required(name));
    else if (
      sysctl.name.length > 253 ||
      !/^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$/.test(sysctl.name)
    )
      mistakes.push(
        fieldErrors.invalid(
          name,
          sysctl.name,
          'must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$',
        ),
      );
    else if (names.has(sysctl.name)) mistakes.push(fieldErrors.duplicate(name, sysctl.name));
    names.add(sysctl.name);
  }
  checkOneOf(mistakes, `${at}.fsGroupChangePolicy`, security.fsGroupChangePolicy, ['Always', 'OnRootMismatch']);
}

function checkDns(mistakes: Mistakes, spec: Readonly<PodSpec>, field: string): void {
  const dns = spec.dnsConfig;
  if (spec.dnsPolicy === 'None') {
    if (!dns)
      mistakes.push(fieldErrors.required(`${field}.dnsConfig`, 'must provide `dnsConfig` when `dnsPolicy` is None'));
    else if (!dns.nameservers?.length)
      mistakes.push(
        fieldErrors.required(
          `${field}.dnsConfig.nameservers`,
          'must provide at least one DNS nameserver when `dnsPolicy` is None',
        ),
      );
  }
  for (const [index, server] of (dns?.nameservers ?? []).entries())
    checkIp(mistakes, `${field}.dnsConfig.nameservers[${index}]`, server);
  for (const [index, search] of (dns?.searches ?? []).entries())
    checkName(mistakes, `${field}.dnsConfig.searches[${index}]`, search.replace(/\.$/, ''), (text) =>
      text === '' ? [] : dnsSubdomain(text.replaceAll('_', '-')),
    );
  for (const [index, option] of (dns?.options ?? []).entries())
    if (!option.name) mistakes.push(fieldErrors.required(`${field}.dnsConfig.options[${index}]`, 'must not be empty'));
}

function checkGates(mistakes: Mistakes, spec: Readonly<PodSpec>, field: string): void {
  for (const [index, gate] of (spec.readinessGates ?? []).entries())
    checkName(mistakes, `${field}.readinessGates[${index}].conditionType`, gate.conditionType, qualifiedName);
  const names = new Set<string>();
  for (const [index, gate] of (spec.schedulingGates ?? []).entries()) {
    const at = `${field}.schedulingGates[${index}]`;
    checkName(mistakes, at, gate.name, qualifiedName);
    if (names.has(gate.name)) mistakes.push(fieldErrors.duplicate(`${at}.name`, gate.name));
    names.add(gate.name);
  }
}

function checkAliases(mistakes: Mistakes, spec: Readonly<PodSpec>, field: string): void {
  for (const [index, alias] of (spec.hostAliases ?? []).entries()) {
    const at = `${field}.hostAliases[${index}]`;
    checkIp(mistakes, `${at}.ip`, alias.ip);
    for (const [inner, name] of (alias.hostnames ?? []).entries())
      checkName(mistakes, `${at}.hostnames[${inner}]`, name, dnsSubdomain);
  }
}

/** A pod template of a controller at `field`, such as `spec.template`. */
export function checkPodTemplate(mistakes: Mistakes, template: Readonly<PodTemplateSpec>, field: string): void {
  checkLabels(mistakes, template.metadata?.labels, `${field}.labels`);
  checkAnnotations(mistakes, template.metadata?.annotations, `${field}.annotations`);
  checkPodSpec(mistakes, template.spec ?? { containers: [] }, `${field}.spec`);
}

const updatable =
  'pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)';

/** What a running pod may not become. */
export function checkPodUpdate(next: Readonly<Pod>, current: Readonly<Pod>): FieldError[] {
  const [wanted, had] = [next.spec!, current.spec!];
  if (wanted === had) return [];
  for (const list of ['containers', 'initContainers'] as const)
    if ((wanted[list]?.length ?? 0) !== (had[list]?.length ?? 0))
      return [fieldErrors.forbidden(`spec.${list}`, 'pod updates may not add or remove containers')];
  const mistakes: Mistakes = [];
  const [deadline, before] = [wanted.activeDeadlineSeconds, had.activeDeadlineSeconds];
  if (deadline === undefined && before !== undefined)
    mistakes.push(
      fieldErrors.invalid('spec.activeDeadlineSeconds', null, 'must not update from a positive integer to nil value'),
    );
  if (deadline !== undefined && before !== undefined && deadline > before)
    return [
      fieldErrors.invalid('spec.activeDeadlineSeconds', deadline, 'must be less than or equal to previous value'),
    ];
  checkTolerationsKept(mistakes, wanted, had);
  const gatesAdded = (wanted.schedulingGates ?? []).filter(
    (gate) => !had.schedulingGates?.some((old) => old.name === gate.name),
  );
  if (gatesAdded.length)
    mistakes.push(
      fieldErrors.forbidden(
        'spec.schedulingGates',
        'only deletion is allowed, but found new scheduling gate ' + `'${gatesAdded[0]!.name}'`,
      ),
    );
  if (!sameJson(withoutUpdatable(wanted, had), withoutUpdatable(had, had)))
    mistakes.push(fieldErrors.forbidden('spec', `${updatable}\n${changedFields(wanted, had)}`));
  return mistakes;
}

function checkTolerationsKept(mistakes: Mistakes, wanted: Readonly<PodSpec>, had: Readonly<PodSpec>): void {
  const bare = ({ tolerationSeconds: _, ...rest }: { tolerationSeconds?: number }) => rest;
  for (const old of had.tolerations ?? []) {
    const kept = wanted.tolerations?.some((toleration) => sameJson(bare(toleration), bare(old)));
    if (!kept) {
      mistakes.push(
        fieldErrors.forbidden(
          'spec.tolerations',
          'existing toleration can not be modified except its tolerationSeconds',
        ),
      );
      return;
    }
  }
}

function withoutUpdatable(spec: Readonly<PodSpec>, had: Readonly<PodSpec>): object {
  const {
    activeDeadlineSeconds: _a,
    tolerations: _t,
    schedulingGates: _g,
    terminationGracePeriodSeconds: grace,
    ...rest
  } = spec;
  const plain = (containers: PodSpec['initContainers']) => containers?.map(({ image: _i, ...container }) => container);
  const gated = (had.schedulingGates?.length ?? 0) > 0;
  return {
    ...rest,
    terminationGracePeriodSeconds:
      (had.terminationGracePeriodSeconds ?? 0) < 0 && grace === 1 ? had.terminationGracePeriodSeconds : grace,
    containers: plain(spec.containers),
    initContainers: plain(spec.initContainers),
    nodeSelector: gated ? undefined : spec.nodeSelector,
  };
}
/** Names the top-level fields that differ, with both values. */
function changedFields(wanted: Readonly<PodSpec>, had: Readonly<PodSpec>): string {
  const after = withoutUpdatable(wanted, had) as Record<string, unknown>;
  const before = withoutUpdatable(had, had) as Record<string, unknown>;
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  const lines = names.filter((name) => !sameJson(before[name], after[name]));
  const shown = (value: unknown): string => JSON.stringify(value ?? null).slice(0, 400);
  return lines.map((name) => `- ${name}: ${shown(before[name])}\n+ ${name}: ${shown(after[name])}\n`).join('');
}
