import { type ApiPartContext, type api, apiServiceKind, isReason, type KubeObject } from '#sdk';

type Service = api.APIService & KubeObject;
const managed = 'kube-aggregator.kubernetes.io/automanaged';
/** As upstream ranks groups of custom resources: behind everything that is built in. */
const groupPriority = 1000;
const versionPriority = 100;

export interface ServicePlan {
  readonly create: readonly string[];
  readonly remove: readonly string[];
}
/** Names of APIServices of one group, `v1.example.com`: one for each version that is served, none besides. Others' are let be. */
export function planServices(
  group: string,
  versions: ReadonlySet<string>,
  present: readonly Readonly<Service>[],
): ServicePlan {
  const names = new Set([...versions].map((version) => `${version}.${group}`));
  const known = new Set(present.map(({ metadata }) => metadata.name));
  return {
    create: [...names].filter((name) => !known.has(name)),
    remove: present
      .filter(({ metadata, spec }) => spec?.group === group && metadata.labels?.[managed] === 'true')
      .map(({ metadata }) => metadata.name!)
      .filter((name) => !names.has(name)),
  };
}

export async function syncServices(
  { client, reader }: Pick<ApiPartContext, 'client' | 'reader'>,
  group: string,
  versions: ReadonlySet<string>,
): Promise<void> {
  const { create, remove } = planServices(group, versions, reader.list(apiServiceKind) as Readonly<Service>[]);
  for (const name of create) {
    const version = name.slice(0, name.indexOf('.'));
    const service = {
      metadata: { name, labels: { [managed]: 'true' } },
      spec: { group, version, groupPriorityMinimum: groupPriority, versionPriority },
    };
    await unless('AlreadyExists', client.create(apiServiceKind, service as Service));
  }
  for (const name of remove) await unless('NotFound', client.delete(apiServiceKind, { name }));
}
async function unless(reason: 'AlreadyExists' | 'NotFound', write: Promise<unknown>): Promise<void> {
  try {
    await write;
  } catch (error) {
    if (!isReason(error, reason)) throw error;
  }
}
