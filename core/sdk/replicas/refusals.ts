import { isReason, type StatusError } from '#api';

/** The namespace is going and takes nothing new: no failure of whoever wanted to create, and no reason to try again. */
export const isTerminating = (error: unknown): boolean =>
  isReason(error, 'Forbidden') &&
  !!(error as StatusError).details?.causes?.some((cause) => cause.reason === 'NamespaceTerminating');
