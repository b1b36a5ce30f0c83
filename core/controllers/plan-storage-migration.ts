import type { Condition, KubeObject, StorageVersionMigration } from '#api';

export type Migration = StorageVersionMigration & KubeObject;
type Wanted = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>;

export const isTrue = (migration: Readonly<Migration>, type: string): boolean =>
  migration.status?.conditions?.some((condition) => condition.type === type && condition.status === 'True') ?? false;
const isOver = (migration: Readonly<Migration>): boolean =>
  isTrue(migration, 'Succeeded') || isTrue(migration, 'Failed');
export const resourceOf = ({ spec }: Readonly<Migration>): string =>
  `${spec?.resource?.resource ?? ''}.${spec?.resource?.group ?? ''}`;

/** What the migrations of one resource need next: one runs at a time, the oldest first. */
export type MigrationStep = 'wait' | 'finish' | 'start' | 'run' | 'none';
export function planMigration(migration: Readonly<Migration>, all: readonly Readonly<Migration>[]): MigrationStep {
  const isRunning = isTrue(migration, 'Running');
  if (isOver(migration)) return isRunning ? 'finish' : 'none';
  if (isRunning) return 'run';
  const others = all.filter((other) => resourceOf(other) === resourceOf(migration) && !isOver(other));
  if (others.some((other) => isTrue(other, 'Running'))) return 'wait';
  const first = [...others].sort(byAge)[0];
  return !first || first.metadata.name === migration.metadata.name ? 'start' : 'wait';
}
function byAge(a: Readonly<Migration>, b: Readonly<Migration>): number {
  const [older, younger] = [a.metadata.creationTimestamp ?? '', b.metadata.creationTimestamp ?? ''];
  if (older !== younger) return older < younger ? -1 : 1;
  return a.metadata.name! < b.metadata.name! ? -1 : 1;
}

/** With this condition in place of the former of its type; the time moves only when the status does. */
export function withCondition(migration: Readonly<Migration>, wanted: Wanted, now: string): Migration {
  const conditions = [...(migration.status?.conditions ?? [])] as Condition[];
  const at = conditions.findIndex(({ type }) => type === wanted.type);
  const former = conditions[at];
  const lastTransitionTime = former?.status === wanted.status ? former.lastTransitionTime : now;
  const next = { ...former, ...wanted, lastTransitionTime } as Condition;
  if (former) conditions[at] = next;
  else conditions.push(next);
  return { ...migration, status: { ...migration.status, conditions } };
}

export const started: Wanted = {
  type: 'Running',
  status: 'True',
  reason: 'MigrationRunning',
  message: 'The migration is running',
};
export const finished: Wanted = {
  type: 'Running',
  status: 'False',
  reason: 'MigrationCompleted',
  message: 'Migration completed',
};
export const succeeded: Wanted = {
  type: 'Succeeded',
  status: 'True',
  reason: 'StorageVersionMigrationSucceeded',
  message: 'Migration completed',
};
export const failed = (message: string): Wanted => ({
  type: 'Failed',
  status: 'True',
  reason: 'StorageVersionMigrationFailed',
  message,
});
export function running(left: number, total: number, transient = ''): Wanted {
  const count = left > 0 ? `, ${left}/${total} objects not yet migrated` : `, ${total} objects verified migrated`;
  const trouble = transient && `; transient error: ${transient}`;
  return { ...started, message: `${started.message}${total > 0 ? count : ''}${trouble}` };
}
