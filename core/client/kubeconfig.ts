import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import { messageOf, PintleError } from '#base';

/** What it takes to speak to one cluster. Certificates and keys are PEM text. */
export interface ClusterAccess {
  readonly server: string;
  readonly ca?: string;
  readonly token?: string;
  readonly clientCertificate?: string;
  readonly clientKey?: string;
  readonly insecure: boolean;
  readonly namespace: string;
  readonly context: string;
}
interface Named {
  readonly name?: string;
}
interface KubeconfigFile {
  readonly 'current-context'?: string;
  readonly clusters?: readonly (Named & { cluster?: Record<string, string | boolean> })[];
  readonly users?: readonly (Named & { user?: Record<string, string> })[];
  readonly contexts?: readonly (Named & { context?: { cluster?: string; user?: string; namespace?: string } })[];
}

/** Reads a kubeconfig; relative file names in it are relative to its folder. */
export function loadKubeconfig(path: string, context?: string): ClusterAccess {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw broken(path, messageOf(error));
  }
  return readKubeconfig(text, { path, context });
}

export function readKubeconfig(text: string, options: { path: string; context?: string }): ClusterAccess {
  const { path } = options;
  let file: KubeconfigFile;
  try {
    file = (parse(text, { maxAliasCount: 0 }) ?? {}) as KubeconfigFile;
  } catch (error) {
    throw broken(path, messageOf(error));
  }
  const contextName = options.context ?? file['current-context'] ?? '';
  const find = <T extends Named>(list: readonly T[] | undefined, what: string, name: string | undefined): T => {
    const found = list?.find((entry) => entry.name === name);
    if (!found) throw broken(path, `it has no ${what} "${name ?? ''}"`);
    return found;
  };
  const context = find(file.contexts, 'context', contextName).context ?? {};
  const cluster = find(file.clusters, 'cluster', context.cluster).cluster ?? {};
  const user = find(file.users, 'user', context.user).user ?? {};
  const pem = (source: Record<string, string | boolean>, field: string): string | undefined => {
    const data = source[`${field}-data`];
    if (typeof data === 'string') return Buffer.from(data, 'base64').toString('utf8');
    const file = source[field];
    return typeof file === 'string' ? readFileSync(resolve(dirname(path), file), 'utf8') : undefined;
  };
  if (typeof cluster['server'] !== 'string') throw broken(path, `cluster "${context.cluster ?? ''}" has no server`);
  const tokenFile = user['tokenFile'];
  return {
    server: cluster['server'],
    ca: pem(cluster, 'certificate-authority'),
    token: user['token'] ?? (tokenFile && readFileSync(resolve(dirname(path), tokenFile), 'utf8').trim()),
    clientCertificate: pem(user, 'client-certificate'),
    clientKey: pem(user, 'client-key'),
    insecure: cluster['insecure-skip-tls-verify'] === true,
    namespace: context.namespace ?? 'default',
    context: contextName,
  };
}

const broken = (path: string, why: string): PintleError =>
  new PintleError(
    'KUBECONFIG_BROKEN',
    `The kubeconfig ${path} cannot be used: ${why}.`,
    'Give the file that `pintle up` wrote: HOME/kubeconfig.',
  );
