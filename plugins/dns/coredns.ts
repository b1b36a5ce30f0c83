import { type DuplexChild, type Log, messageOf, type NodePartContext, Scope } from '#sdk';
import { type CorefileOptions, corefileOf, filesOf } from './corefile.ts';

export interface CoreDnsOptions extends Omit<CorefileOptions, 'folder' | 'kubeconfig'> {
  readonly program: string;
  readonly folder: string;
}
/** What it is run with: the node part's own. */
type Doors = Pick<NodePartContext, 'api' | 'clock' | 'log' | 'machine'>;
const backoffMs = { first: 100, most: 10_000, resetAfter: 60_000 };
const stopGraceMs = 3_000;
const linesLoggedMax = 1_000;

/**
 * Runs CoreDNS with a generated configuration, starts it again when it ends, and ends it on disposal. A new configuration
 * is a new process: its own reload keeps the old one silently when the new one is wrong.
 */
export async function runCoreDns(options: CoreDnsOptions, doors: Doors): Promise<AsyncDisposable> {
  const { folder, program } = options;
  const { api, clock, log, machine } = doors;
  const { files, spawn } = machine;
  const scope = new Scope();
  await files.mkdir(folder, { recursive: true, mode: 0o700 });
  const kubeconfig = `${folder}/kubeconfig`;
  const corefile = `${folder}/Corefile`;
  await files.writeFile(kubeconfig, kubeconfigOf(api), { mode: 0o600 });
  for (const [name, text] of filesOf(options.settings)) await files.writeFile(`${folder}/${name}`, text);
  await files.writeFile(corefile, corefileOf({ ...options, kubeconfig }));
  let child: DuplexChild | undefined;
  const loop = (async () => {
    let delayMs = backoffMs.first;
    while (!scope.signal.aborted) {
      const startedMs = clock.monotonicMs();
      try {
        child = spawn([...dieWithUs(machine.findProgram('setpriv')), program, '-conf', corefile], { cwd: folder });
        void child.stdin.end();
        void passOn(child.stdout, log);
        void passOn(child.stderr, log);
        const code = await child.exited;
        if (scope.signal.aborted) return;
        log.warn('coredns ended; starting it again', { code, delayMs });
      } catch (error) {
        log.error('coredns cannot be started', { error: messageOf(error), delayMs });
      }
      if (clock.monotonicMs() - startedMs > backoffMs.resetAfter) delayMs = backoffMs.first;
      await clock.sleep(delayMs, scope.signal);
      delayMs = Math.min(delayMs * 2, backoffMs.most);
    }
  })();
  scope.defer(async () => {
    child?.kill('SIGTERM');
    const over = new AbortController();
    void clock.sleep(stopGraceMs, over.signal).then(() => !over.signal.aborted && child?.kill('SIGKILL'));
    await loop;
    over.abort();
  });
  return scope;
}

/** It shares its port with whoever asks the kernel so (SO_REUSEPORT): one that a killed node left behind would answer every other question. */
function dieWithUs(setpriv: string | undefined): string[] {
  return setpriv ? [setpriv, '--pdeathsig', 'KILL', '--'] : [];
}

/** Its own lines go into our log; after many of them it is read and dropped, so that it never blocks on a full pipe. */
async function passOn(stream: ReadableStream<Uint8Array>, log: Log): Promise<void> {
  const decoder = new TextDecoder();
  let rest = '';
  let lines = 0;
  for await (const chunk of stream) {
    const texts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = texts.pop()!.slice(-4_096);
    for (const text of texts) if (lines++ < linesLoggedMax && text) log.info('coredns', { line: text.slice(0, 512) });
  }
}

/** JSON is YAML. */
const kubeconfigOf = ({ url, caFile, tokenFile }: Doors['api']): string =>
  `${JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'own', cluster: { server: url, 'certificate-authority': caFile } }],
    users: [{ name: 'own', user: { tokenFile } }],
    contexts: [{ name: 'own', context: { cluster: 'own', user: 'own' } }],
    'current-context': 'own',
  })}\n`;
