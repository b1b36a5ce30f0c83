import type { Command } from 'commander';
import { PintleError } from '#base';

interface Completed {
  readonly name: string;
  readonly about: string;
  readonly flags: readonly { readonly name: string; readonly about: string; readonly values: readonly string[] }[];
  /** What may stand for the argument; empty where it is free. */
  readonly words: readonly string[];
}

/** Prints a script that completes commands, flags and their values; made from the same program that parses them. */
export function completion(program: Command, shell: string): void {
  const write = scripts[shell];
  if (!write) throw new PintleError('UNKNOWN_SHELL', `there is no completion for ${shell}`, 'name bash, zsh or fish');
  process.stdout.write(write(program.commands.map(completedOf)));
}

function completedOf(command: Command): Completed {
  return {
    name: command.name(),
    about: command.description(),
    flags: command.options.flatMap(({ long, description, argChoices }) =>
      long ? [{ name: long, about: description, values: argChoices ?? [] }] : [],
    ),
    words: command.registeredArguments.flatMap((argument) => argument.argChoices ?? []),
  };
}

function bash(commands: readonly Completed[]): string {
  const names = commands.map((command) => command.name).join(' ');
  const cases = commands.map(
    ({ name, flags, words }) => `    ${name}) words='${[...flags.map((flag) => flag.name), ...words].join(' ')}' ;;`,
  );
  const values = new Map(commands.flatMap(({ flags }) => flags.map((flag) => [flag.name, flag.values.join(' ')])));
  const valued = [...values].filter(([, list]) => list !== '').map(([flag, list]) => `    ${flag}) words='${list}' ;;`);
  return `_pintle() {
  local words='${names}'
  [ "$COMP_CWORD" -gt 1 ] && case "\${COMP_WORDS[1]}" in
${cases.join('\n')}
  esac
  case "\${COMP_WORDS[COMP_CWORD-1]}" in
    --home) COMPREPLY=($(compgen -d -- "\${COMP_WORDS[COMP_CWORD]}")); return ;;
${valued.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _pintle pintle ./pintle
`;
}

const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;

function fish(commands: readonly Completed[]): string {
  const lines = commands.flatMap(({ name, about, flags, words }) => {
    const inside = `complete -c pintle -n '__fish_seen_subcommand_from ${name}'`;
    return [
      `complete -c pintle -f -n __fish_use_subcommand -a ${name} -d ${quoted(about)}`,
      ...flags.map((flag) => {
        const values = flag.values.length > 0 ? ` -x -a '${flag.values.join(' ')}'` : '';
        return `${inside} -l ${flag.name.slice(2)}${values} -d ${quoted(flag.about)}`;
      }),
      ...(words.length > 0 ? [`${inside} -f -a '${words.join(' ')}'`] : []),
    ];
  });
  return `${lines.join('\n')}\n`;
}

const scripts: Readonly<Record<string, (commands: readonly Completed[]) => string>> = {
  bash,
  zsh: (commands) =>
    `autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n${bash(commands)}`,
  fish,
};
