import { errors, StatusError } from '../api/status.ts';

/** What every store refuses, in one wording. The registry, which knows the kind and the name, words them for the client. */
export type Refusal = 'AlreadyExists' | 'NotFound' | 'Conflict';

export const refusals = {
  AlreadyExists: (key: string) => new StatusError(409, 'AlreadyExists', `"${key}" already exists`),
  NotFound: (key: string) => new StatusError(404, 'NotFound', `"${key}" not found`),
  Conflict: (key: string) =>
    new StatusError(
      409,
      'Conflict',
      `"${key}" has been modified; apply your changes to the latest version and try again`,
    ),
} satisfies Record<Refusal, (key: string) => StatusError>;

export const expired = (asked: string, oldest: string): StatusError =>
  errors.expired(`The resourceVersion for the provided watch is too old: ${asked} (oldest kept: ${oldest})`);

export const tooNew = (asked: string, current: string): StatusError =>
  new StatusError(504, 'Timeout', `Too large resource version: ${asked}, current: ${current}`, {
    causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
    retryAfterSeconds: 1,
  });

/** `present` is the version that is there, undefined when nothing is. Pure: the decision of every write. */
export function refuse(
  verb: 'create' | 'update' | 'delete',
  present: number | undefined,
  expected: number | undefined,
): Refusal | undefined {
  if (verb === 'create') return present === undefined ? undefined : 'AlreadyExists';
  if (present === undefined) return 'NotFound';
  return expected === undefined || expected === present ? undefined : 'Conflict';
}
