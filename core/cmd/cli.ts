import { PintleError } from '#base';
import type { Catalog } from './catalog.ts';
import { isUsageCode, usageExitCode } from './usage.ts';

/** Parses the arguments and runs one command. Commands load their code lazily: `component` must start in a few milliseconds. */
export async function run(argv: readonly string[], catalog: Catalog): Promise<void> {
  process.env['PATH'] = withSystemFolders(process.env['PATH']);
  try {
    if (argv[0] === 'component' || argv[0] === 'supervise') {
      const { runInternal } = await import('./internal.ts');
      return await runInternal(argv, catalog);
    }
    await runCommand(argv.length === 0 ? ['--help'] : argv, catalog);
    process.exit(process.exitCode ?? 0); // children that live on, and libraries, would keep this process
  } catch (error) {
    process.exit(reportFailure(error));
  }
}

/** PATH with the folders of dockerd, nft and ip, which a plain `su` leaves out. Every child inherits it. */
export function withSystemFolders(path = ''): string {
  const folders = path.split(':').filter((folder) => folder !== '');
  const system = ['/usr/local/sbin', '/usr/sbin', '/sbin'];
  return [...folders, ...system.filter((folder) => !folders.includes(folder))].join(':');
}

async function runCommand(argv: readonly string[], catalog: Catalog): Promise<void> {
  const [{ createProgram }, { CommanderError }, { usageError }] = await Promise.all([
    import('./program.ts'),
    import('commander'),
    import('./usage.ts'),
  ]);
  const program = createProgram(catalog);
  const isOwn =
    argv[0]!.startsWith('-') || argv[0] === 'help' || program.commands.some((one) => one.name() === argv[0]);
  if (!isOwn && (await (await import('./plugin-command.ts')).pluginCommand(argv, catalog))) return;
  try {
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode !== 0) throw usageError(error, program, argv); // 0: help or the version was printed
  }
}

/** Says what failed, why, and the next step. Returns the exit code. */
export function reportFailure(error: unknown): number {
  if (error instanceof PintleError) {
    process.stderr.write(`pintle: ${error.message} [${error.code}]\n  next: ${error.next}\n`);
    return isUsageCode(error.code) ? usageExitCode : 1;
  }
  process.stderr.write(
    `pintle: unexpected failure: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n  next: run it again; if it stays, look at ./pintle logs and report it\n`,
  );
  return 70; // EX_SOFTWARE
}
