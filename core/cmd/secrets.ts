import { mkdirSync } from 'node:fs';
import { PintleError } from '#base';
import type { SealingStatus } from '../apiserver/sealing/resealing.ts';
import { addKey, keyIds } from '../apiserver/sealing/root-keys.ts';
import { type Home, openHome } from './home.ts';
import { supervisorRuns } from './lock.ts';
import { createProgress, type Progress } from './progress.ts';

/** Keys of Secrets, shared by every API server of this home: see docs/secrets.md. */
export const secretKeysFolder = (home: Home): string => home.path('pki', 'secrets');
/** How far the API server is with sealing everything with the newest key. */
export const sealingStatusFile = 'run/secrets.json';

const waitMs = 100;
const silentMsMax = 60_000;

export async function secrets(verb: string, options: { home?: string }): Promise<void> {
  const home = openHome(options.home);
  home.read();
  mkdirSync(secretKeysFolder(home), { recursive: true, mode: 0o700 }); // a home of an older program has none yet
  if (verb === 'status') return print(home);
  if (verb === 'rotate') return rotate(home, createProgress());
  throw new PintleError('UNKNOWN_VERB', `secrets knows no ${verb}`, 'name one of rotate, status');
}

/** Adds a key and follows what the API server makes of it. Ended in the middle, the server goes on; called again, it follows the same rotation. */
async function rotate(home: Home, progress: Progress): Promise<void> {
  const before = keyIds(secretKeysFolder(home));
  const status = readStatus(home);
  const underWay = before.length > 1 && !(status?.done && status.key === before.at(-1));
  const key = underWay ? before.at(-1)! : addKey(secretKeysFolder(home));
  if (!supervisorRuns(home)) {
    process.stdout.write(`the new key ${key} seals from the next start on; what is stored is sealed anew then\n`);
    return;
  }
  let last = '';
  let heardMs = performance.now();
  for (;;) {
    const now = readStatus(home);
    const text = now?.key === key ? progressText(now) : '';
    if (text !== last) {
      progress.note(text);
      heardMs = performance.now();
    }
    last = text;
    if (now?.key === key && now.done) break;
    if (performance.now() - heardMs > silentMsMax)
      throw new PintleError(
        'ROTATION_SILENT',
        `the API server has told nothing of the key ${key} for ${silentMsMax / 1000} s`,
        'nothing is lost: see ./pintle logs apiserver; it goes on by itself, and ./pintle secrets status says how far it is',
      );
    await Bun.sleep(waitMs);
  }
  process.stdout.write(`every secret is sealed with the key ${key}\n`);
}

const progressText = ({ secrets, sealed, unreadable, older }: SealingStatus): string =>
  `${sealed} of ${secrets} secrets sealed with the newest key${unreadable > 0 ? `, ${unreadable} cannot be opened` : ''}${
    older.length > 0 ? `; still kept: ${older.join(', ')}` : ''
  }`;

function print(home: Home): void {
  const status = readStatus(home);
  const ids = keyIds(secretKeysFolder(home));
  process.stdout.write(
    `keys: ${ids.join(', ')} (the last one seals)\n${
      status && status.key === ids.at(-1)
        ? `${progressText(status)}${status.done ? '' : '; going on'}`
        : 'not begun with the newest key'
    }\n`,
  );
}

function readStatus(home: Home): SealingStatus | undefined {
  try {
    return JSON.parse(home.readFile(sealingStatusFile) ?? '') as SealingStatus;
  } catch {
    return undefined;
  }
}
