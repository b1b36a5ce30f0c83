import {
  type Container,
  type ContainerPort,
  type EnvFromSource,
  type EnvVar,
  type EnvVarSource,
  fieldErrors,
  type VolumeMount,
} from '#api';
import { configKey, dnsLabel, dnsSubdomain, envName, portName } from '../rules/names.ts';
import {
  checkId,
  checkName,
  checkNeededName,
  checkOneOf,
  checkOneOfUnsorted,
  checkPort,
  type Mistakes,
} from '../rules/values.ts';
import { checkLocalPath } from './local-path.ts';
import { checkLifecycle, checkProbe } from './probes.ts';
import { checkResources } from './resources.ts';

export interface ContainerRules {
  readonly volumes: ReadonlySet<string>;
  readonly hostNetwork: boolean;
}
const pullPolicies = ['Always', 'IfNotPresent', 'Never'];

function checkPorts(mistakes: Mistakes, field: string, ports: readonly ContainerPort[], hostNetwork: boolean): void {
  const names = new Set<string>();
  for (const [index, port] of ports.entries()) {
    const at = `${field}[${index}]`;
    if (port.name) {
      const wrong = portName(port.name);
      for (const detail of wrong) mistakes.push(fieldErrors.invalid(`${at}.name`, port.name, detail));
      if (wrong.length === 0 && names.has(port.name)) mistakes.push(fieldErrors.duplicate(`${at}.name`, port.name));
      names.add(port.name);
    }
    if (!port.containerPort) mistakes.push(fieldErrors.required(`${at}.containerPort`));
    else checkPort(mistakes, `${at}.containerPort`, port.containerPort);
    if (port.hostPort) checkPort(mistakes, `${at}.hostPort`, port.hostPort);
    if (hostNetwork && port.hostPort && port.hostPort !== port.containerPort)
      mistakes.push(
        fieldErrors.invalid(
          `${at}.containerPort`,
          port.containerPort,
          'must match `hostPort` when `hostNetwork` is true',
        ),
      );
    checkOneOf(mistakes, `${at}.protocol`, port.protocol, ['SCTP', 'TCP', 'UDP']);
  }
}

const fieldPaths =
  /^metadata\.(name|namespace|uid)$|^metadata\.(labels|annotations)\['[^']+'\]$|^spec\.(nodeName|serviceAccountName)$|^status\.(hostIP|hostIPs|podIP|podIPs)$/;
function checkValueFrom(mistakes: Mistakes, at: string, source: EnvVarSource, hasValue: boolean): void {
  const given = Object.values(source).filter((value) => value !== undefined).length;
  if (source.fieldRef) {
    const path = source.fieldRef.fieldPath;
    if (!path) mistakes.push(fieldErrors.required(`${at}.fieldRef.fieldPath`));
    else if (!fieldPaths.test(path))
      mistakes.push(
        fieldErrors.invalid(
          `${at}.fieldRef.fieldPath`,
          path,
          `error converting fieldPath: field label not supported: ${path}`,
        ),
      );
  }
  if (source.resourceFieldRef && !source.resourceFieldRef.resource)
    mistakes.push(fieldErrors.required(`${at}.resourceFieldRef.resource`));
  for (const kind of ['configMapKeyRef', 'secretKeyRef'] as const) {
    const reference = source[kind];
    if (!reference) continue;
    checkName(mistakes, `${at}.${kind}.name`, reference.name ?? '', dnsSubdomain);
    if (!reference.key) mistakes.push(fieldErrors.required(`${at}.${kind}.key`));
    else checkName(mistakes, `${at}.${kind}.key`, reference.key, configKey);
  }
  if (given === 0)
    mistakes.push(
      fieldErrors.invalid(
        at,
        '',
        'must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`',
      ),
    );
  if (given > 1) mistakes.push(fieldErrors.invalid(at, '', 'may not have more than one field specified at a time'));
  if (hasValue && given) mistakes.push(fieldErrors.invalid(at, '', 'may not be specified when `value` is not empty'));
}
function checkEnv(mistakes: Mistakes, field: string, env: readonly EnvVar[]): void {
  for (const [index, variable] of env.entries()) {
    const at = `${field}[${index}]`;
    checkNeededName(mistakes, `${at}.name`, variable.name, envName);
    if (variable.valueFrom) checkValueFrom(mistakes, `${at}.valueFrom`, variable.valueFrom, Boolean(variable.value));
  }
}
function checkEnvFrom(mistakes: Mistakes, field: string, sources: readonly EnvFromSource[]): void {
  for (const [index, source] of sources.entries()) {
    const at = `${field}[${index}]`;
    if (source.prefix) checkName(mistakes, `${at}.prefix`, source.prefix, envName);
    for (const kind of ['configMapRef', 'secretRef'] as const)
      if (source[kind]) checkName(mistakes, `${at}.${kind}.name`, source[kind].name ?? '', dnsSubdomain);
    if (!source.configMapRef && !source.secretRef)
      mistakes.push(fieldErrors.invalid(field, '', 'must specify one of: `configMapRef` or `secretRef`'));
    else if (source.configMapRef && source.secretRef)
      mistakes.push(fieldErrors.invalid(field, '', 'may not have more than one field specified at a time'));
  }
}

function checkMounts(
  mistakes: Mistakes,
  field: string,
  mounts: readonly VolumeMount[],
  volumes: ReadonlySet<string>,
): void {
  const paths = new Set<string>();
  for (const [index, mount] of mounts.entries()) {
    const at = `${field}[${index}]`;
    if (!mount.name) mistakes.push(fieldErrors.required(`${at}.name`));
    if (!volumes.has(mount.name) || !mount.name) mistakes.push(fieldErrors.notFound(`${at}.name`, mount.name ?? ''));
    if (!mount.mountPath) mistakes.push(fieldErrors.required(`${at}.mountPath`));
    if (mount.mountPath && paths.has(mount.mountPath))
      mistakes.push(fieldErrors.invalid(`${at}.mountPath`, mount.mountPath, 'must be unique'));
    paths.add(mount.mountPath);
    if (mount.subPath) checkLocalPath(mistakes, `${field}.subPath`, mount.subPath);
    if (mount.subPathExpr) {
      if (mount.subPath)
        mistakes.push(
          fieldErrors.invalid(
            `${field}.subPathExpr`,
            mount.subPathExpr,
            'subPathExpr and subPath are mutually exclusive',
          ),
        );
      checkLocalPath(mistakes, `${field}.subPathExpr`, mount.subPathExpr);
    }
    checkOneOf(mistakes, `${at}.mountPropagation`, mount.mountPropagation, [
      'Bidirectional',
      'HostToContainer',
      'None',
    ]);
  }
}

function checkSecurity(mistakes: Mistakes, at: string, container: Readonly<Container>): void {
  const security = container.securityContext;
  if (!security) return;
  checkId(mistakes, `${at}.runAsUser`, security.runAsUser);
  checkId(mistakes, `${at}.runAsGroup`, security.runAsGroup);
  checkOneOf(mistakes, `${at}.procMount`, security.procMount, ['Default', 'Unmasked']);
  if (security.allowPrivilegeEscalation !== false) return;
  if (security.privileged)
    mistakes.push(
      fieldErrors.invalid(at, security, 'cannot set `allowPrivilegeEscalation` to false and `privileged` to true'),
    );
  if (security.capabilities?.add?.includes('CAP_SYS_ADMIN'))
    mistakes.push(
      fieldErrors.invalid(
        at,
        security,
        'cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN',
      ),
    );
}

/** What init containers and ordinary ones share. */
export function checkContainer(
  mistakes: Mistakes,
  at: string,
  container: Readonly<Container>,
  rules: ContainerRules,
): void {
  checkNeededName(mistakes, `${at}.name`, container.name, dnsLabel);
  checkOneOfUnsorted(mistakes, `${at}.terminationMessagePolicy`, container.terminationMessagePolicy, [
    'File',
    'FallbackToLogsOnError',
  ]);
  checkPorts(mistakes, `${at}.ports`, container.ports ?? [], rules.hostNetwork);
  checkEnv(mistakes, `${at}.env`, container.env ?? []);
  checkEnvFrom(mistakes, `${at}.envFrom`, container.envFrom ?? []);
  checkMounts(mistakes, `${at}.volumeMounts`, container.volumeMounts ?? [], rules.volumes);
  if (container.imagePullPolicy === '') mistakes.push(fieldErrors.required(`${at}.imagePullPolicy`));
  checkOneOf(mistakes, `${at}.imagePullPolicy`, container.imagePullPolicy, pullPolicies);
  checkResources(mistakes, `${at}.resources`, container.resources);
  checkSecurity(mistakes, `${at}.securityContext`, container);
}
/** A template of a controller may not name an image with spaces either; a pod is checked the same way. */
export function checkImage(mistakes: Mistakes, at: string, image: string | undefined): void {
  if (!image) mistakes.push(fieldErrors.required(`${at}.image`));
  else if (image.trim() !== image)
    mistakes.push(fieldErrors.invalid(`${at}.image`, image, 'must not have leading or trailing whitespace'));
}

export function checkContainers(
  mistakes: Mistakes,
  field: string,
  containers: readonly Container[] | undefined,
  rules: ContainerRules,
): Set<string> {
  const names = new Set<string>();
  if (!containers?.length) {
    mistakes.push(fieldErrors.required(field));
    return names;
  }
  for (const [index, container] of containers.entries()) {
    const at = `${field}[${index}]`;
    checkContainer(mistakes, at, container, rules);
    checkImage(mistakes, at, container.image);
    if (container.name && names.has(container.name)) mistakes.push(fieldErrors.duplicate(`${at}.name`, container.name));
    names.add(container.name);
    checkLifecycle(mistakes, `${at}.lifecycle`, container.lifecycle);
    checkProbe(mistakes, `${at}.livenessProbe`, container.livenessProbe, true);
    checkProbe(mistakes, `${at}.readinessProbe`, container.readinessProbe, false);
    checkProbe(mistakes, `${at}.startupProbe`, container.startupProbe, true);
  }
  return names;
}

export function checkInitContainers(
  mistakes: Mistakes,
  field: string,
  containers: readonly Container[] | undefined,
  others: ReadonlySet<string>,
  rules: ContainerRules,
): void {
  const names = new Set(others);
  for (const [index, container] of (containers ?? []).entries()) {
    const at = `${field}[${index}]`;
    checkContainer(mistakes, at, container, rules);
    checkImage(mistakes, at, container.image);
    if (container.name && names.has(container.name)) mistakes.push(fieldErrors.duplicate(`${at}.name`, container.name));
    names.add(container.name);
    if (container.restartPolicy === 'Always') {
      checkLifecycle(mistakes, `${at}.lifecycle`, container.lifecycle);
      checkProbe(mistakes, `${at}.livenessProbe`, container.livenessProbe, true);
      checkProbe(mistakes, `${at}.readinessProbe`, container.readinessProbe, false);
      checkProbe(mistakes, `${at}.startupProbe`, container.startupProbe, true);
      continue;
    }
    for (const name of ['lifecycle', 'livenessProbe', 'readinessProbe', 'startupProbe'] as const)
      if (container[name])
        mistakes.push(
          fieldErrors.forbidden(`${at}.${name}`, 'may not be set for init containers without restartPolicy=Always'),
        );
  }
}
