import { describe, expect, test } from 'bun:test';
import { CommanderError } from 'commander';
import { PintleError } from '#base';
import { reportFailure, withSystemFolders } from './cli.ts';
import { createProgram } from './program.ts';
import { usageError } from './usage.ts';

/** The code, the sentence and the next step that these words give; '' when they parse. Actions do not run. */
async function refusal(...argv: string[]): Promise<string> {
  const program = createProgram();
  for (const command of program.commands) command.action(() => {});
  try {
    await program.parseAsync(argv, { from: 'user' });
    return '';
  } catch (thrown) {
    const error = thrown instanceof CommanderError ? usageError(thrown, program, argv) : thrown;
    if (!(error instanceof PintleError)) throw thrown;
    return `${error.code}: ${error.message} -> ${error.next}`;
  }
}

describe('wrong words are named, with the way to the help', () => {
  const rows: [string[], string][] = [
    [['bogus-thing'], "BAD_USAGE: unknown command 'bogus-thing' -> ./pintle --help"],
    [['statu'], "BAD_USAGE: unknown command 'statu'; did you mean status? -> ./pintle --help"],
    [
      ['up', '--prot', '3'],
      "BAD_USAGE: unknown option '--prot' (in: pintle up); did you mean --port? -> ./pintle up --help",
    ],
    [['up', '--port'], "BAD_USAGE: option '--port <n>' argument missing (in: pintle up) -> ./pintle up --help"],
    [['up', '--port', 'abc'], 'BAD_PORT: --port abc is not a number between 1 and 65535 -> name a free port'],
    [['up', '--port', '65536'], 'BAD_PORT: --port 65536 is not a number between 1 and 65535 -> name a free port'],
    [
      ['up', '--runtime', 'vm'],
      "BAD_USAGE: option '--runtime <name>' argument 'vm' is invalid. Allowed choices are auto, docker, process (in: pintle up) -> ./pintle up --help",
    ],
    [
      ['up', '--store', 'etcd://'],
      'BAD_STORE: the store etcd:// cannot be used: it is neither sqlite nor an etcd address -> give --store sqlite, or etcd://HOST:PORT[,HOST:PORT…][/PREFIX]?ca=FILE&cert=FILE&key=FILE (on loopback also ?plaintext=1)',
    ],
    [['up', '--store', 'etcd://127.0.0.1:2379,[::1]:2379?plaintext=1'], ''],
    [
      ['down', 'extra'],
      "BAD_USAGE: too many arguments for 'down'. Expected 0 arguments but got 1: extra (in: pintle down) -> ./pintle down --help",
    ],
    [['logs', '--tail', '-1'], 'BAD_NUMBER: --tail -1 is not a whole number -> write it as --tail 100'],
    [
      ['completion'],
      "BAD_USAGE: missing required argument 'shell' (in: pintle completion) -> ./pintle completion --help",
    ],
    [['kubectl', 'get', 'pods', '--anything', '-o', 'wide'], ''],
  ];
  for (const [argv, wanted] of rows)
    test(argv.join(' '), async () => {
      expect(await refusal(...argv)).toBe(wanted);
    });

  test('every command refuses an unknown flag, and kubectl alone passes it on', async () => {
    for (const command of createProgram().commands) {
      const words = [command.name(), ...(command.name() === 'image' ? ['list'] : []), '--no-such-flag'];
      expect((await refusal(...words)) === '').toBe(command.name() === 'kubectl');
    }
  });
});

test('a PATH without the system folders gets them at its end', () => {
  expect(withSystemFolders('/usr/bin:/sbin')).toBe('/usr/bin:/sbin:/usr/local/sbin:/usr/sbin');
  expect(withSystemFolders(undefined)).toBe('/usr/local/sbin:/usr/sbin:/sbin');
});

test('exit codes: 2 for wrong words, 1 for what failed', () => {
  const written: string[] = [];
  const write = process.stderr.write;
  process.stderr.write = (text: string | Uint8Array) => written.push(String(text)) > 0;
  try {
    expect(reportFailure(new PintleError('BAD_PORT', 'no', 'do'))).toBe(2);
    expect(reportFailure(new PintleError('PORT_TAKEN', 'no', 'do'))).toBe(1);
  } finally {
    process.stderr.write = write;
  }
  expect(written[0]).toBe('pintle: no [BAD_PORT]\n  next: do\n');
});
