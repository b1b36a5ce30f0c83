import type { Command } from 'commander';
import { PintleError } from '#base';

/** Prints a script that completes commands and flags; made from the same program that parses them. */
export function completion(program: Command, shell: string): void {
  const commands = program.commands.map((command) => ({
    name: command.name(),
    flags: command.options.map((option) => option.long).filter((flag) => flag != null),
  }));
  const names = commands.map((command) => command.name).join(' ');
  const bashCases = commands.map((command) => `    ${command.name}) words='${command.flags.join(' ')}' ;;`).join('\n');
  const bash = `_pintle() {
  local words='${names}'
  case "\${COMP_WORDS[1]}" in
${bashCases}
  esac
  [ "$COMP_CWORD" -eq 1 ] && words='${names}'
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _pintle pintle ./pintle
`;
  const fish = commands
    .flatMap((command) => [
      `complete -c pintle -n __fish_use_subcommand -a ${command.name}`,
      ...command.flags.map(
        (flag) => `complete -c pintle -n '__fish_seen_subcommand_from ${command.name}' -l ${flag.slice(2)}`,
      ),
    ])
    .join('\n');
  const scripts: Record<string, string> = {
    bash,
    zsh: `autoload -U +X bashcompinit && bashcompinit\n${bash}`,
    fish: `${fish}\n`,
  };
  const script = scripts[shell];
  if (!script) throw new PintleError('UNKNOWN_SHELL', `there is no completion for ${shell}`, 'name bash, zsh or fish');
  process.stdout.write(script);
}
