import { type ComponentStatus, componentStatusKind, type KubeObject } from '#api';
import { column, nameColumn } from './rules/columns.ts';
import { plainStrategy } from './rules/plain.ts';

const health = (status: Readonly<ComponentStatus>) =>
  status.conditions?.find((condition) => condition.type === 'Healthy');

/** Never stored; only its table matters. */
export const componentStatusStrategy = plainStrategy<ComponentStatus & KubeObject>({
  kind: componentStatusKind,
  columns: [
    nameColumn,
    column('Status', 'Healthy or not.', (status) =>
      health(status) ? (health(status)!.status === 'True' ? 'Healthy' : 'Unhealthy') : 'Unknown',
    ),
    column('Message', 'What it says.', (status) => health(status)?.message ?? ''),
    column('Error', 'What is wrong.', (status) => health(status)?.error ?? ''),
  ],
});
