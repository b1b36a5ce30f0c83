import type { Command, CommanderError } from 'commander';
import { PintleError } from '#base';
import { parseStore } from './store-address.ts';

/** Exit code when the words typed cannot be carried out as they stand; 1 is for what failed. */
export const usageExitCode = 2;

/** Codes that begin so mean that the command line itself is wrong. */
export const isUsageCode = (code: string): boolean => code.startsWith('BAD_') || code.startsWith('UNKNOWN_');

/** What the parser of arguments refuses, in our words: the flag, its command, and where its help is. */
export function usageError(error: CommanderError, program: Command, argv: readonly string[]): PintleError {
  const command = program.commands.find((one) => one.name() === argv[0])?.name();
  const [first = '', ...rest] = error.message.replace(/^error: /, '').split('\n');
  const hint = rest.map((line) => line.trim()).find((line) => line.startsWith('('));
  const where = command && !/'.* command'/.test(first) ? ` (in: pintle ${command})` : '';
  return new PintleError(
    'BAD_USAGE',
    `${first.replace(/\.$/, '')}${where}${hint ? `; ${hint.slice(1, -1).replace(/^Did/, 'did')}` : ''}`,
    `./pintle ${command ? `${command} --help` : '--help'}`,
  );
}

/** For flags that take a port. */
export function portNumber(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && value <= 65535) return value;
  throw new PintleError('BAD_PORT', `--port ${text} is not a number between 1 and 65535`, 'name a free port');
}

/** For flags that count. */
export const countOf =
  (flag: string) =>
  (text: string): number => {
    if (/^\d{1,7}$/.test(text)) return Number(text);
    throw new PintleError('BAD_NUMBER', `${flag} ${text} is not a whole number`, `write it as ${flag} 100`);
  };

/** For flags that take a share of a hundred. */
export const percentOf =
  (flag: string) =>
  (text: string): number => {
    const value = Number(text.replace(/%$/, ''));
    if (/^\d{1,3}(\.\d+)?%?$/.test(text) && value <= 100) return value;
    throw new PintleError('BAD_NUMBER', `${flag} ${text} is not between 0 and 100`, `write it as ${flag} 5`);
  };

/** As store-address.ts reads it. */
export function storeName(text: string): string {
  parseStore(text);
  return text;
}
