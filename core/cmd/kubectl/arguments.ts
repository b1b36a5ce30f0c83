import { PintleError } from '#base';

/** What the built-in client understood of its words. */
export interface Arguments {
  readonly verb: string;
  /** Without flags; those behind `--` are in `command`. */
  readonly words: readonly string[];
  readonly command: readonly string[];
  /** By their long names; a flag given twice keeps both values. */
  readonly flags: ReadonlyMap<string, readonly string[]>;
}
export const verbs = ['get', 'apply', 'delete', 'describe', 'logs', 'exec', 'scale'] as const;

/** Long name, short name, and whether a value follows. As stock kubectl has them. */
const all: readonly (readonly [long: string, short: string, value: boolean])[] = [
  ['namespace', 'n', true],
  ['all-namespaces', 'A', false],
  ['output', 'o', true],
  ['selector', 'l', true],
  ['filename', 'f', true],
  ['container', 'c', true],
  ['follow', 'f', false],
  ['previous', 'p', false],
  ['tail', '', true],
  ['timestamps', '', false],
  ['stdin', 'i', false],
  ['tty', 't', false],
  ['replicas', '', true],
  ['all', '', false],
  ['ignore-not-found', '', false],
  ['wait', '', false],
  ['grace-period', '', true],
  ['no-headers', '', false],
  ['watch', 'w', false],
];
const flagsOf: Readonly<Record<string, readonly string[]>> = {
  get: ['namespace', 'all-namespaces', 'output', 'selector', 'no-headers', 'ignore-not-found', 'filename'],
  apply: ['namespace', 'filename'],
  delete: ['namespace', 'filename', 'selector', 'all', 'ignore-not-found', 'wait', 'grace-period'],
  describe: ['namespace', 'selector'],
  logs: ['namespace', 'container', 'follow', 'previous', 'tail', 'timestamps'],
  exec: ['namespace', 'container', 'stdin', 'tty'],
  scale: ['namespace', 'replicas'],
};

/** Throws KUBECTL_MISSING for what only stock kubectl can do, naming it. */
export function parseArguments(argv: readonly string[]): Arguments {
  const split = argv.indexOf('--');
  const front = split < 0 ? argv : argv.slice(0, split);
  const verb = front.find((word, index) => !word.startsWith('-') && !takesValue(front[index - 1])) ?? '';
  const known = flagsOf[verb];
  if (!known) throw onlyStock(verb === '' ? 'a call without a verb' : `the verb ${verb}`);
  const flags = new Map<string, string[]>();
  const words: string[] = [];
  const rest = [...front];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (!word.startsWith('-') || word === '-') words.push(word);
    else
      for (const [name, value] of flagValues(word, known, rest)) flags.set(name, [...(flags.get(name) ?? []), value]);
  }
  words.splice(words.indexOf(verb), 1);
  return { verb, words, command: split < 0 ? [] : argv.slice(split + 1), flags };
}

const takesValue = (word: string | undefined): boolean =>
  word !== undefined &&
  all.some(
    ([long, short, value]) =>
      value && (word === `--${long}` || (short !== '' && word === `-${short}` && long !== 'filename')),
  );

/** `--name=value`, `--name value`, `-n value`, `-nvalue`, and short ones run together (`-it`). */
function flagValues(word: string, known: readonly string[], rest: string[]): [string, string][] {
  const usable = all.filter(([long]) => known.includes(long));
  if (word.startsWith('--')) {
    const [name = '', value] = word.slice(2).split(/=(.*)/s);
    const flag = usable.find(([long]) => long === name);
    if (!flag) throw onlyStock(`the flag --${name}`);
    return [[name, value ?? (flag[2] ? valueAfter(word, rest) : 'true')]];
  }
  const found: [string, string][] = [];
  for (let at = 1; at < word.length; at++) {
    const flag = usable.find(([, short]) => short === word[at]);
    if (!flag) throw onlyStock(`the flag -${word[at]}`);
    if (!flag[2]) {
      found.push([flag[0], 'true']);
      continue;
    }
    const value = word.slice(at + 1).replace(/^=/, '');
    found.push([flag[0], value === '' ? valueAfter(word, rest) : value]);
    break;
  }
  return found;
}

function valueAfter(flag: string, rest: string[]): string {
  const value = rest.shift();
  if (value === undefined)
    throw new PintleError('KUBECTL_ARGUMENTS', `${flag} needs a value`, `write it as ${flag} VALUE`);
  return value;
}

export const onlyStock = (what: string): PintleError =>
  new PintleError(
    'KUBECTL_MISSING',
    `${what} needs stock kubectl, and there is none on PATH or in the home folder: the built-in client knows ${verbs.join(', ')}`,
    './pintle up --yes puts kubectl into the home folder where it can be had',
  );
export const flagOf = (args: Arguments, name: string): string | undefined => args.flags.get(name)?.at(-1);
export const isSet = (args: Arguments, name: string): boolean => !['false', undefined].includes(flagOf(args, name));
