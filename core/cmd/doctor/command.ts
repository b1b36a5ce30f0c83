import { systemExec } from '#base';
import { openHome } from '../home.ts';
import { checksOf } from './checks.ts';
import { inspectMachine } from './machine.ts';

/** `doctor`: exit code 1 when something is `bad`. */
export async function doctor(options: { home?: string; json?: boolean }): Promise<void> {
  const home = openHome(options.home);
  const checks = checksOf(await inspectMachine(systemExec, home.folder));
  for (const check of checks) {
    if (options.json) process.stdout.write(JSON.stringify(check) + '\n');
    else {
      const mark = { ok: '✓', missing: '!', bad: '✗' }[check.state];
      process.stdout.write(
        `${mark} ${check.name.padEnd(10)} ${check.detail}\n${check.fix ? `             mend: ${check.fix}\n` : ''}`,
      );
    }
  }
  if (checks.some((check) => check.state === 'bad')) process.exitCode = 1;
}
