import type { ConfigMap, Container, EnvVar, Pod, Secret } from '#api';
import { fieldValue, type PodFacts, resourceValue } from './downward.ts';
import { expand } from './expansion.ts';

/** What a container's environment is made from; objects that are absent are undefined. */
export interface EnvSources {
  readonly services: Readonly<Record<string, string>>;
  readonly facts: PodFacts;
  configMap(name: string): Readonly<ConfigMap> | undefined;
  secret(name: string): Readonly<Secret> | undefined;
}
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

const decode = (base64: string): string => Buffer.from(base64, 'base64').toString('utf8');

/** Names of the config maps and secrets that a container's environment refers to. */
export function envReferences(container: Container): { configMaps: string[]; secrets: string[] } {
  const configMaps = new Set<string>();
  const secrets = new Set<string>();
  for (const from of container.envFrom ?? []) {
    if (from.configMapRef?.name) configMaps.add(from.configMapRef.name);
    if (from.secretRef?.name) secrets.add(from.secretRef.name);
  }
  for (const variable of container.env ?? []) {
    const from = variable.valueFrom;
    if (from?.configMapKeyRef?.name) configMaps.add(from.configMapKeyRef.name);
    if (from?.secretKeyRef?.name) secrets.add(from.secretKeyRef.name);
  }
  return { configMaps: [...configMaps], secrets: [...secrets] };
}

/** In order: envFrom, then env (which may refer to what came before), then the services. Throws ConfigError. */
export function containerEnv(pod: Readonly<Pod>, container: Container, sources: EnvSources): [string, string][] {
  const values = envFromValues(pod, container, sources);
  for (const variable of container.env ?? []) {
    const value = variable.value
      ? expand(variable.value, (name) => values.get(name) ?? sources.services[name])
      : variable.valueFrom
        ? referencedValue(pod, container, variable, sources)
        : '';
    if (value === undefined) continue;
    values.delete(variable.name); // keeps the order of declaration when env replaces an envFrom value
    values.set(variable.name, value);
  }
  for (const [name, value] of Object.entries(sources.services)) if (!values.has(name)) values.set(name, value);
  return [...values];
}

function envFromValues(pod: Readonly<Pod>, container: Container, sources: EnvSources): Map<string, string> {
  const values = new Map<string, string>();
  for (const from of container.envFrom ?? []) {
    const prefix = from.prefix ?? '';
    if (from.configMapRef) {
      const name = from.configMapRef.name ?? '';
      const object = sources.configMap(name);
      if (!object && !from.configMapRef.optional) throw new ConfigError(`configmap "${name}" not found`);
      for (const [key, value] of Object.entries(object?.data ?? {})) values.set(prefix + key, value);
    } else if (from.secretRef) {
      const name = from.secretRef.name ?? '';
      const object = sources.secret(name);
      if (!object && !from.secretRef.optional) throw new ConfigError(`secret "${name}" not found`);
      for (const [key, value] of Object.entries(object?.data ?? {})) values.set(prefix + key, decode(value));
    } else throw new ConfigError(`envFrom of container ${container.name} in pod ${pod.metadata.name} names no source`);
  }
  return values;
}

/** Undefined when an optional reference has no value: the variable is left out. */
function referencedValue(
  pod: Readonly<Pod>,
  container: Container,
  variable: EnvVar,
  sources: EnvSources,
): string | undefined {
  const from = variable.valueFrom!;
  const place = pod.metadata.namespace;
  if (from.fieldRef) return fieldValue(from.fieldRef, pod, sources.facts);
  if (from.resourceFieldRef) return resourceValue(from.resourceFieldRef, pod, container, sources.facts);
  if (from.configMapKeyRef) {
    const { name = '', key, optional } = from.configMapKeyRef;
    const object = sources.configMap(name);
    if (!object && !optional) throw new ConfigError(`configmap "${name}" not found`);
    const value = object?.data?.[key];
    if (value === undefined && !optional)
      throw new ConfigError(`couldn't find key ${key} in ConfigMap ${place}/${name}`);
    return value;
  }
  if (from.secretKeyRef) {
    const { name = '', key, optional } = from.secretKeyRef;
    const object = sources.secret(name);
    if (!object && !optional) throw new ConfigError(`secret "${name}" not found`);
    const value = object?.data?.[key];
    if (value === undefined && !optional) throw new ConfigError(`couldn't find key ${key} in Secret ${place}/${name}`);
    return value === undefined ? undefined : decode(value);
  }
  throw new ConfigError(`the source of variable ${variable.name} is not supported`);
}
