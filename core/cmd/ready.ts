import { readFileSync } from 'node:fs';
import { PintleError } from '#base';
import { readRunState } from './components.ts';
import { throwIfBroken } from './failure.ts';
import type { Config, Home } from './home.ts';
import { isAlive, waitUntil } from './processes.ts';

/** A raw call with the admin token; resolves to undefined while nobody answers. */
export async function ask(
  home: Home,
  config: Config,
  path: string,
  init: { method?: string; body?: string; headers?: Record<string, string> } = {},
): Promise<Response | undefined> {
  try {
    return await fetch(`https://127.0.0.1:${config.port}${path}`, {
      ...init,
      headers: { authorization: `Bearer ${home.readFile('credentials/admin.token')?.trim()}`, ...init.headers },
      tls: { ca: readFileSync(home.path('pki', 'ca.crt'), 'utf8') },
      signal: AbortSignal.timeout(5_000),
    });
  } catch {
    return undefined;
  }
}

/** What a killed supervisor left answers too, until the next one ends it: only an API server of the living one counts. */
function hasOwnApiserver(home: Home): boolean {
  const state = readRunState(home);
  const apiserver = state?.components.find(({ name }) => name === 'apiserver');
  return isAlive(state?.supervisor) && isAlive(apiserver?.process);
}

/** Waits until the API answers and this host's node is Ready. Throws early when a component cannot start. */
export async function waitForNode(home: Home, config: Config, limitMs: number, signal?: AbortSignal): Promise<void> {
  let seen = 'the API server does not answer';
  const ready = await waitUntil(
    async () => {
      if (signal?.aborted) return true;
      throwIfBroken(home);
      if (!hasOwnApiserver(home)) return false;
      const response = await ask(home, config, `/api/v1/nodes/${config.nodeName}`);
      if (!response) return false;
      if (!response.ok) {
        seen = `the API server answers ${response.status} for node ${config.nodeName}`;
        return false;
      }
      const node = (await response.json()) as {
        status?: { conditions?: { type: string; status: string; message?: string }[] };
      };
      const condition = node.status?.conditions?.find((one) => one.type === 'Ready');
      seen = `node ${config.nodeName} is not Ready: ${condition?.message ?? 'no status yet'}`;
      if (condition?.status !== 'True') return false;
      // Without it the first pod would be refused, by a person who was told that all is ready.
      seen = 'the namespace default has no service account yet';
      return (await ask(home, config, '/api/v1/namespaces/default/serviceaccounts/default'))?.ok === true;
    },
    limitMs,
    15,
  );
  if (!ready)
    throw new PintleError(
      'NOT_READY',
      `the cluster was not ready within ${limitMs / 1000} s: ${seen}`,
      `see ./pintle logs --home ${home.folder}`,
    );
}
