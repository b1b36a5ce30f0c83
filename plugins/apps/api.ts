import type { ApiPart, KubeObject, LabelSelector, ServedKind, TypeFacts } from '#sdk';
import { deploymentKind, replicaSetKind } from './kinds.ts';
import { deploymentStrategy, replicaSetStrategy } from './strategies.ts';

const scale: ServedKind['scale'] = {
  specReplicas: 'spec.replicas',
  statusReplicas: 'status.replicas',
  selector: (object) => textOf((object['spec'] as { selector?: LabelSelector } | undefined)?.selector),
};
/** A selector as a query writes it. */
function textOf(selector: LabelSelector | undefined): string {
  const labels = Object.entries(selector?.matchLabels ?? {}).map(([key, value]) => `${key}=${value}`);
  const rules = (selector?.matchExpressions ?? []).map(({ key, operator, values = [] }) =>
    operator === 'Exists'
      ? key
      : operator === 'DoesNotExist'
        ? `!${key}`
        : `${key} ${operator.toLowerCase()} (${[...values].sort().join(',')})`,
  );
  return [...labels.sort(), ...rules].join(',');
}

/** Deployments and replica sets, served by the API server like its own kinds. */
export default {
  name: 'apps',
  async start({ kinds, schema, kit }) {
    const { default: facts } = (await import('./gen/facts.json')) as unknown as {
      default: { types: Record<string, TypeFacts> };
    };
    schema.addTypes(facts.types);
    const served = [
      { kind: replicaSetKind, strategy: replicaSetStrategy(kit), scale },
      { kind: deploymentKind, strategy: deploymentStrategy(kit), scale },
    ];
    for (const one of served) await kinds.add(one as unknown as ServedKind & { kind: KubeObject });
  },
} satisfies ApiPart;
