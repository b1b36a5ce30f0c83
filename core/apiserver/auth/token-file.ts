import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { type Clock, messageOf, PintleError } from '#base';
import type { UserInfo } from '#sdk';
import { authenticatedGroup } from './attributes.ts';

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Digests of tokens that were asked about lately: hashing is a tenth of a small read. */
const digestsMax = 1_000;
const lookEveryMs = 500; // a revoked token works for less than a second
export const tokenFileBytesMax = 4 * 1024 * 1024;

/** Users of a file `[{ "tokenSha256": hex, "user": { "name", "uid"?, "groups": [] } }]`, read again when it changed. */
export async function openTokenFile(options: {
  readonly path: string;
  readonly clock: Clock;
}): Promise<{ userOf(token: string): Promise<UserInfo | undefined> | UserInfo | undefined }> {
  let users = new Map<string, UserInfo>();
  let stamp = '';
  let lookedAtMs = Number.NEGATIVE_INFINITY;
  let looking: Promise<void> | undefined;
  const digests = new Map<string, string>();
  const digestOf = (token: string): string => {
    let digest = digests.get(token);
    if (digest !== undefined) return digest;
    digest = sha256(token);
    // Only of tokens that are good, so that nobody else can push them out.
    if (users.has(digest)) {
      if (digests.size >= digestsMax) digests.clear();
      digests.set(token, digest);
    }
    return digest;
  };
  const look = async () => {
    const found = await stat(options.path).catch(() => undefined);
    const next = found ? `${found.mtimeMs} ${found.size} ${found.ino}` : 'missing';
    if (next === stamp) return;
    users = found ? await readUsers(options.path) : new Map(); // a file that is gone knows nobody
    stamp = next;
  };
  await look();
  return {
    /** A promise only while the file is looked at. */
    userOf(token) {
      const nowMs = options.clock.monotonicMs();
      if (nowMs - lookedAtMs >= lookEveryMs) {
        lookedAtMs = nowMs;
        looking = look().finally(() => (looking = undefined));
      }
      // By hash: how long a look-up takes says nothing about a token that is not good.
      return looking ? looking.then(() => users.get(digestOf(token))) : users.get(digestOf(token));
    },
  };
}

async function readUsers(path: string): Promise<Map<string, UserInfo>> {
  try {
    const file = Bun.file(path);
    if (file.size > tokenFileBytesMax) throw new Error(`it has ${file.size} bytes, more than ${tokenFileBytesMax}`);
    const rows: unknown = await file.json();
    if (!Array.isArray(rows)) throw new Error('it holds no list');
    return new Map(rows.map(readRow));
  } catch (error) {
    throw new PintleError(
      'TOKEN_FILE',
      `The token file ${path} cannot be used: ${messageOf(error)}.`,
      'Mend it, or stop the cluster, remove the file and start again: new tokens are made.',
    );
  }
}

function readRow(row: unknown): [string, UserInfo] {
  const { tokenSha256, user } = (row ?? {}) as { tokenSha256?: unknown; user?: Partial<UserInfo> };
  if (typeof tokenSha256 !== 'string' || !/^[0-9a-f]{64}$/.test(tokenSha256))
    throw new Error('a tokenSha256 is not 64 hex digits');
  if (typeof user?.name !== 'string' || user.name === '') throw new Error('a user has no name');
  const groups = Array.isArray(user.groups) ? user.groups.filter((group) => typeof group === 'string') : [];
  return [tokenSha256, { ...user, name: user.name, groups: [...new Set([...groups, authenticatedGroup])] }];
}
