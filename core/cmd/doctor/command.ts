import { PintleError, systemExec } from '#base';
import { detectFirewalls } from '../../../net/pods/forwarding.ts';
import { checkSqliteFile } from '../../store/sqlite-check.ts';
import { type Home, openHome, serviceRangesOf } from '../home.ts';
import { type Check, checksOf } from './checks.ts';
import { inspectKernel, kernelChecks } from './kernel.ts';
import { inspectMachine } from './machine.ts';

/** `doctor`: exit code 1 when something is `bad`. */
export async function doctor(options: { home?: string; json?: boolean }): Promise<void> {
  const home = openHome(options.home);
  const config = home.exists() ? home.read() : undefined;
  const machine = await inspectMachine(systemExec, home.folder);
  // Before the first start the ranges are not chosen; these are the ones it tries first.
  const firewalls = machine.root
    ? await detectFirewalls(
        systemExec,
        config ? [config.podCidr, ...serviceRangesOf(config)] : ['10.244.0.0/16', '10.96.0.0/16'],
      )
    : [];
  const kernel = machine.linux && machine.root && machine.ip ? kernelChecks(await inspectKernel(systemExec)) : [];
  const checks = [...checksOf({ ...machine, firewalls }), ...kernel, ...storeChecks(home)];
  for (const check of checks) {
    if (options.json) process.stdout.write(JSON.stringify(check) + '\n');
    else {
      const mark = { ok: '✓', missing: '!', bad: '✗' }[check.state];
      process.stdout.write(
        `${mark} ${check.name.padEnd(10)} ${check.detail}\n${check.fix ? `             mend: ${check.fix}\n` : ''}`,
      );
    }
  }
  const bad = checks.some((check) => check.state === 'bad');
  if (bad) process.exitCode = 1;
  if (options.json) return;
  const less = checks.some((check) => check.state === 'missing');
  process.stdout.write(
    bad
      ? '\nA cluster cannot run here before the lines marked ✗ are mended.\n'
      : `\nA cluster runs here${less ? ', with less where a line is marked !' : ''}: ./pintle up --yes --detach\n`,
  );
}

/** Reads the whole database of a cluster that does not run. None where there is no database. */
function storeChecks(home: Home): Check[] {
  const path = home.path('data', 'store.db');
  try {
    const found = checkSqliteFile(path);
    if (!found) return [];
    const { entries, rows, problems } = found;
    if (problems.length === 0)
      return [{ name: 'store', state: 'ok', detail: `${entries} objects in ${rows} versions, all sound` }];
    const fix = 'copy the files aside, then restore the newest snapshot: pintle snapshot restore FILE';
    return [{ name: 'store', state: 'bad', detail: `${path}: ${problems.join('; ')}`, fix }];
  } catch (error) {
    if (!(error instanceof PintleError)) throw error;
    if (error.code === 'STORE_LOCKED')
      return [
        { name: 'store', state: 'ok', detail: 'in use by the running cluster; it is checked whole while that is down' },
      ];
    return [{ name: 'store', state: 'bad', detail: error.message, fix: error.next }];
  }
}
