import { existsSync, lstatSync, readFileSync, readlinkSync } from 'node:fs';
import { type Clock, messageOf, ownArch, ownProgram, ownUserId, PintleError } from '#base';
import {
  type ContainerChild,
  type ContainerEngine,
  type ContainerRun,
  factsOf,
  lackingOf,
  lackingOfProcess,
  type MadeContainer,
} from '../host/container.ts';
import { DockerEngine } from '../kubelet/runtimes/docker-engine.ts';
import {
  engineMessage,
  ensureDockerImage,
  importImage,
  inspectImage,
  isStatus,
} from '../kubelet/runtimes/docker-images.ts';
import { attachSession } from '../kubelet/runtimes/docker-sessions.ts';
import { type TarEntry, tar } from '../kubelet/runtimes/tar.ts';

const hostLabel = 'dev.pintle.plugins.host';
const pingMsMax = 5_000;
const libraryFolders = ['/usr/lib', '/usr/lib64', '/lib', '/lib64'];

/** Plugins' containers in any engine that serves Docker's API on this machine. */
export function pluginContainers(socketPath: string, clock: Clock): ContainerEngine {
  const engine = new DockerEngine(socketPath);
  return {
    answers: () =>
      engine.call('GET', '/_ping', { signal: AbortSignal.timeout(pingMsMax) }).then(
        () => true,
        () => false,
      ),
    run: (wanted, signal) => run(engine, clock, wanted, signal),
    async sweep(host) {
      for (const { Id } of await listed(engine, [`${hostLabel}=${host}`])) await remove(engine, Id);
    },
  };
}

/** Those of every host of this cluster on this machine, and the image that was made for them. */
export async function purgePluginContainers(socketPath: string, clusterId: string): Promise<void> {
  const engine = new DockerEngine(socketPath);
  for (const { Id, Labels } of await listed(engine, [hostLabel]))
    if (Labels[hostLabel] === clusterId || Labels[hostLabel]?.startsWith(`${clusterId}-`)) await remove(engine, Id);
}

const listed = (engine: DockerEngine, label: readonly string[]) =>
  engine.call<{ Id: string; Labels: Record<string, string> }[]>('GET', '/containers/json', {
    query: { all: true, filters: { label } },
  });
const remove = (engine: DockerEngine, id: string): Promise<void> =>
  engine.call('DELETE', `/containers/${id}`, { query: { force: true } }).catch((error: unknown) => {
    if (!isStatus(error, 404, 409)) throw error; // it has gone, or is going
  });

async function run(
  engine: DockerEngine,
  clock: Clock,
  wanted: ContainerRun,
  signal: AbortSignal = new AbortController().signal,
): Promise<ContainerChild> {
  const rootless = await isRootless(engine);
  const uid = rootless ? undefined : wanted.uid;
  await remove(engine, wanted.name);
  const image = await imageOf(engine, wanted, signal);
  const made = await create(engine, wanted, image, uid);
  let child: ContainerChild | undefined;
  try {
    const session = await attachSession(engine, clock, made, { tty: false, stdin: true });
    await engine.call('POST', `/containers/${made}/start`);
    const inspected = await engine.call<MadeContainer>('GET', `/containers/${made}/json`);
    const status = await settledStatus(inspected.State.Pid, uid, clock);
    const lacking = [...lackingOf(inspected, wanted), ...(status === undefined ? [] : lackingOfProcess(status, uid))];
    if (lacking.length > 0) throw impossible(`the container engine did not give ${lacking.join(', ')}`);
    child = {
      pid: inspected.State.Pid,
      stdin: session.stdin!,
      stdout: session.stdout,
      stderr: session.stderr!,
      exited: endOf(engine, made),
      kill: (name = 'SIGTERM') =>
        void engine.call('POST', `/containers/${made}/kill`, { query: { signal: name } }).catch(() => {}), // it has ended
      facts: factsOf(inspected, wanted, uid, hasFilter(status ?? '')),
      memoryBytes: () => memoryOf(engine, made),
      remove: async () => {
        session.close();
        await remove(engine, made).catch(() => {}); // an engine that is away: the next start and the sweep remove it
      },
    };
    return child;
  } catch (error) {
    throw error instanceof PintleError ? error : impossible(engineMessage(error));
  } finally {
    if (!child) await remove(engine, made).catch(() => {});
  }
}
const impossible = (message: string): PintleError =>
  new PintleError('SANDBOX_IMPOSSIBLE', message, 'look at the container engine: ./pintle doctor');

async function create(
  engine: DockerEngine,
  wanted: ContainerRun,
  image: string,
  uid: number | undefined,
): Promise<string> {
  const { name, host, command, mounts, memoryBytes, processesMax, openFilesMax } = wanted;
  const user = uid ?? 0; // of the engine's user namespace: nobody outside
  const body = {
    Image: image,
    ...(command ? { Entrypoint: [], Cmd: [...command] } : {}),
    User: `${user}:${user}`,
    Env: ['HOME=/state', 'TMPDIR=/tmp'],
    WorkingDir: '/state',
    Labels: { [hostLabel]: host },
    OpenStdin: true,
    StdinOnce: true, // its input ends with the host that holds it
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
    NetworkDisabled: wanted.network === 'none',
    HostConfig: {
      Binds: [...mounts, ...(wanted.image === undefined ? programMounts() : [])].map(
        ({ from, to, readOnly }) => `${from}:${to}:${readOnly ? 'ro' : 'rw'}`,
      ),
      NetworkMode: wanted.network,
      ReadonlyRootfs: true,
      Tmpfs: { '/tmp': 'rw,nosuid,nodev,size=16m,mode=1777' },
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges'],
      Memory: memoryBytes,
      MemorySwap: memoryBytes,
      PidsLimit: processesMax,
      Ulimits: [
        { Name: 'nofile', Soft: openFilesMax, Hard: openFilesMax },
        { Name: 'core', Soft: 0, Hard: 0 },
        // Podman asks for a million when nobody says, which few hosts give. Of a user of its own, whose versions may run side by side.
        ...(uid !== undefined && ownUserId() === 0
          ? [{ Name: 'nproc', Soft: 4 * processesMax, Hard: 4 * processesMax }]
          : []),
      ],
      LogConfig: { Type: 'none' }, // what it says is the host's to keep
      RestartPolicy: { Name: 'no' },
    },
  };
  const { Id, Warnings } = await engine
    .call<{ Id: string; Warnings?: string[] | null }>('POST', '/containers/create', { query: { name }, body })
    .catch((error: unknown) => {
      throw impossible(`the container was not made: ${engineMessage(error)}`);
    });
  const less = (Warnings ?? []).filter(
    (text) => /does not support (memory|pids) limit|discarded/i.test(text) && !/swap/i.test(text),
  );
  if (less.length === 0) return Id;
  await remove(engine, Id);
  throw impossible(`the container engine gives less than was asked for: ${less.join('; ')}`);
}

/** Podman and Docker both list it among their security options. */
async function isRootless(engine: DockerEngine): Promise<boolean> {
  const { SecurityOptions } = await engine.call<{ SecurityOptions?: string[] | null }>('GET', '/info');
  return (SecurityOptions ?? []).some((text) => text.startsWith('name=rootless'));
}

async function imageOf(engine: DockerEngine, { image }: ContainerRun, signal: AbortSignal): Promise<string> {
  if (image === undefined) return emptyImage(engine);
  try {
    return (await ensureDockerImage(engine, image, 'IfNotPresent', signal)).id;
  } catch (error) {
    throw impossible(`image ${image}: ${messageOf(error)}`);
  }
}

/** Folders to mount the program of this host and its libraries over, and the links that are between those. */
async function emptyImage(engine: DockerEngine): Promise<string> {
  const entries: TarEntry[] = ['plugin', 'state', 'api', 'bin', 'tmp', 'proc', 'dev', 'etc', 'sys', 'usr'].map(
    (name) => ({
      type: 'folder',
      name,
    }),
  );
  for (const path of libraryFolders)
    if (existsSync(path))
      entries.push(
        lstatSync(path).isSymbolicLink()
          ? { type: 'link', name: path.slice(1), target: readlinkSync(path) }
          : { type: 'folder', name: path.slice(1) },
      );
  const [repo, tag] = ['pintle/plugin', ownArch()];
  const present = await inspectImage(engine, `${repo}:${tag}`);
  if (!present) await importImage(engine, repo, tag, tar(entries), []);
  const { id } = present ?? (await inspectImage(engine, `${repo}:${tag}`)) ?? {};
  if (id === undefined) throw impossible(`the engine did not keep ${repo}:${tag}`);
  return id;
}
const programMounts = () => [
  ...libraryFolders
    .filter((path) => existsSync(path) && !lstatSync(path).isSymbolicLink())
    .map((path) => ({ from: path, to: path, readOnly: true })),
  { from: ownProgram(), to: '/bin/bun', readOnly: true },
];

/** Undefined where the process of an engine cannot be seen from here, or has ended. */
function statusOfProcess(pid: number): string | undefined {
  try {
    return pid > 0 ? readFileSync(`/proc/${pid}/status`, 'utf8') : undefined;
  } catch {
    return undefined;
  }
}

const hasFilter = (status: string): boolean => /^Seccomp:\s*2$/m.test(status);
/** An engine's own first step in the container takes some milliseconds to lock itself in and become the program. */
async function settledStatus(pid: number, uid: number | undefined, clock: Clock): Promise<string | undefined> {
  for (let tries = 0; ; tries++) {
    const status = statusOfProcess(pid);
    const isSettled = status !== undefined && lackingOfProcess(status, uid).length === 0 && hasFilter(status);
    if (isSettled || status === undefined || tries === settleTriesMax) return status;
    await clock.sleep(10);
  }
}
const settleTriesMax = 20;

/** Its exit code; -1 when the engine went away meanwhile. */
const endOf = (engine: DockerEngine, id: string): Promise<number> =>
  engine.call<{ StatusCode: number }>('POST', `/containers/${id}/wait`).then(
    ({ StatusCode }) => StatusCode,
    () => -1,
  );

const memoryOf = (engine: DockerEngine, id: string): Promise<number | undefined> =>
  engine
    .call<{ memory_stats?: { usage?: number } }>('GET', `/containers/${id}/stats`, {
      query: { stream: false, 'one-shot': true },
    })
    .then(
      ({ memory_stats }) => memory_stats?.usage,
      () => undefined,
    );
