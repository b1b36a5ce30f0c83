import { PintleError } from '#base';
import type { Catalog } from './catalog.ts';

/** Parses the arguments and runs one command. Commands load their code lazily: `component` must start in a few milliseconds. */
export async function run(argv: readonly string[], catalog: Catalog): Promise<void> {
  try {
    if (argv[0] === 'component' || argv[0] === 'supervise') {
      const { runInternal } = await import('./internal.ts');
      return await runInternal(argv, catalog);
    }
    const { createProgram } = await import('./program.ts');
    await createProgram().parseAsync([...argv], { from: 'user' });
    process.exit(process.exitCode ?? 0); // children that live on, and libraries, would keep this process
  } catch (error) {
    process.exit(reportFailure(error));
  }
}

/** Says what failed, why, and the next step. Returns the exit code. */
export function reportFailure(error: unknown): number {
  if (error instanceof PintleError) {
    process.stderr.write(`pintle: ${error.message} [${error.code}]\n  next: ${error.next}\n`);
    return 1;
  }
  process.stderr.write(
    `pintle: unexpected failure: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n  next: run it again; if it stays, look at ./pintle logs and report it\n`,
  );
  return 70; // EX_SOFTWARE
}
