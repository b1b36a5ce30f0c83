import { readFileSync } from 'node:fs';
import type { Node } from '#api';
import { PintleError } from '#base';
import { serverUrl } from './agent/enroll.ts';
import { serverName } from './agent/way.ts';
import { throwIfBroken } from './failure.ts';
import { type Config, type Home, openHome } from './home.ts';
import { launchComponents, readyLimitMs } from './launching.ts';
import { supervisorRuns, takeTurn } from './lock.ts';
import { register } from './neighbours.ts';
import { waitUntil } from './processes.ts';
import { createProgress, type Progress } from './progress.ts';
import { removedWhy } from './removed.ts';
import { checkPort, otherRole } from './up.ts';

/** `agent`: starts a host that joined, again. `--server` says where the server is now. */
export async function agent(options: { home?: string; detach?: boolean; server?: string }): Promise<void> {
  const home = openHome(options.home);
  const config = home.read();
  if (config.role !== 'agent') throw otherRole(config);
  const removed = removedWhy(home);
  if (removed) throw nodeRemoved(home, removed);
  const progress = createProgress();
  const turn = await takeTurn(home, progress);
  if (options.server) {
    const server = serverUrl(options.server);
    home.write({ ...config, servers: [server, ...(config.servers ?? []).filter((one) => one !== server)] });
  }
  await startAgent(home, progress, turn, options.detach === true);
}

/** Waits until the server has this host's node as Ready. */
export async function startAgent(home: Home, progress: Progress, turn: Disposable, detach: boolean): Promise<void> {
  const config = home.read();
  const wait = (limitMs: number, signal?: AbortSignal) => waitForAgent(home, limitMs, signal);
  const announce = () =>
    void process.stdout.write(`This host is node ${config.nodeName} of the cluster at ${config.servers?.[0]}\n`);
  if (supervisorRuns(home)) {
    turn[Symbol.dispose]();
    await progress.step('the agent runs; waiting until its node is Ready', () => wait(readyLimitMs));
    return announce();
  }
  checkPort(config.kubeletPort, home);
  register(home, config); // the registry is lost at a reboot
  await launchComponents({ home, config, progress, turn, command: './pintle agent', wait, announce }, detach);
}

/** Asks the servers with the node's own token, which its process writes. */
export async function askServer(home: Home, config: Config, path: string): Promise<Response | undefined> {
  const token = home.readFile('credentials/node.token')?.trim();
  if (!token) return undefined;
  for (const server of config.servers ?? [])
    try {
      return await fetch(server + path, {
        headers: { authorization: `Bearer ${token}` },
        tls: { ca: readFileSync(home.path('pki', 'ca.crt'), 'utf8'), serverName },
        signal: AbortSignal.timeout(5_000),
      } as RequestInit);
    } catch {}
  return undefined;
}

/** In words, whether the server has this host's node as Ready. */
export async function nodeState(home: Home, config: Config): Promise<{ ready: boolean; text: string }> {
  const answer = await askServer(home, config, `/api/v1/nodes/${config.nodeName}`);
  if (!answer) return { ready: false, text: `no server answers (${config.servers?.join(', ')})` };
  if (!answer.ok) return { ready: false, text: `the server answers ${answer.status} for node ${config.nodeName}` };
  const node = (await answer.json()) as Node;
  const condition = node.status?.conditions?.find(({ type }) => type === 'Ready');
  if (condition?.status === 'True') return { ready: true, text: 'Ready' };
  return { ready: false, text: `node ${config.nodeName} is not Ready: ${condition?.message ?? 'no status yet'}` };
}

async function waitForAgent(home: Home, limitMs: number, signal?: AbortSignal): Promise<void> {
  let seen = 'the node has no tokens yet';
  const ready = await waitUntil(
    async () => {
      if (signal?.aborted) return true;
      throwIfBroken(home);
      const removed = removedWhy(home);
      if (removed) throw nodeRemoved(home, removed);
      const state = await nodeState(home, home.read());
      seen = state.text;
      return state.ready;
    },
    limitMs,
    25,
  );
  if (!ready)
    throw new PintleError(
      'NOT_READY',
      `this host was not a Ready node within ${limitMs / 1000} s: ${seen}`,
      `see ./pintle logs --home ${home.folder}`,
    );
}

const nodeRemoved = (home: Home, message: string): PintleError =>
  new PintleError(
    'NODE_REMOVED',
    message,
    `./pintle down --purge --home ${home.folder} forgets it; then it may join again with a new token`,
  );
