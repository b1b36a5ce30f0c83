import { errors, isResourceVersion, type ResourceVersion } from '#api';

/** Where a paged list goes on: the version of its first page and the last key that was sent. Opaque to clients. */
export interface ContinueToken {
  /** Absent: go on with the newest state (what an expired token is traded for). */
  readonly version: ResourceVersion | undefined;
  /** Below the resource's prefix. */
  readonly after: string;
  /** How many come after it, of a list that chooses nothing: the state is one of the past, so that the number stays true. */
  readonly rest?: number;
}

export const encodeContinue = (token: ContinueToken): string =>
  Buffer.from(
    JSON.stringify({ v: 'meta.k8s.io/v1', rv: token.version ?? '-1', start: token.after, rest: token.rest }),
  ).toString('base64url');

/** Throws 400. */
export function decodeContinue(text: string): ContinueToken {
  try {
    const token = JSON.parse(Buffer.from(text, 'base64url').toString()) as {
      v?: string;
      rv?: string;
      start?: string;
      rest?: unknown;
    };
    if (token.v !== 'meta.k8s.io/v1' || typeof token.start !== 'string' || typeof token.rv !== 'string')
      throw new Error();
    if (token.rv !== '-1' && !isResourceVersion(token.rv)) throw new Error();
    if (token.start.includes('..') || token.start.startsWith('/')) throw new Error();
    return {
      version: token.rv === '-1' ? undefined : (token.rv as ResourceVersion),
      after: token.start,
      rest: Number.isSafeInteger(token.rest) ? (token.rest as number) : undefined,
    };
  } catch {
    throw errors.badRequest('invalid continue token: continue key is not valid: it was not made by this server');
  }
}
