import { expect, test } from 'bun:test';
import { systemExec } from '#base';
import { completion } from './completion.ts';
import { createProgram } from './program.ts';

function scriptFor(shell: string): string {
  let text = '';
  const write = process.stdout.write;
  process.stdout.write = (chunk: string | Uint8Array) => {
    text += String(chunk);
    return true;
  };
  try {
    completion(createProgram(), shell);
  } finally {
    process.stdout.write = write;
  }
  return text;
}

test('bash completes commands, flags, values and words', async () => {
  const ask = (...words: string[]) =>
    `COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _pintle; echo "\${COMPREPLY[@]}"`;
  const questions = [
    ask('pintle', 'do'),
    ask('pintle', 'up', '--po'),
    ask('pintle', 'up', '--runtime', ''),
    ask('pintle', 'logs', 'no'),
    ask('pintle', 'completion', 'z'),
  ];
  const { stdout } = await systemExec.run(['bash', '-c', `${scriptFor('bash')}\n${questions.join('\n')}`]);
  expect(stdout.split('\n')).toEqual(['down doctor', '--port --pod-cidr', 'auto docker process', 'node', 'zsh', '']);
});

test('every command and flag is in the other scripts too; an unknown shell is refused', () => {
  for (const shell of ['zsh', 'fish'])
    for (const command of createProgram().commands) {
      expect(scriptFor(shell)).toContain(command.name());
      for (const { long } of command.options) expect(scriptFor(shell)).toContain(long!.replace(/^--/, ''));
    }
  expect(() => scriptFor('ksh')).toThrow('there is no completion for ksh');
});
