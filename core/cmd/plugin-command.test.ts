import { expect, test } from 'bun:test';
import { visible } from '../host/command.ts';
import { helpText, parseFlags } from './plugin-command.ts';

const facts = {
  name: 'count',
  help: 'Counts.',
  flags: {
    type: 'object',
    properties: {
      limit: { type: 'integer', default: 5 },
      all: { type: 'boolean', description: 'Everything.' },
      name: { type: 'string' },
    },
    required: ['name'],
  },
};

test.each<[string[], object, string[]]>([
  [['--name', 'x'], { limit: 5, name: 'x' }, []],
  [['a', '--name=x=y', '--limit', '3', '--all', 'b'], { limit: 3, all: true, name: 'x=y' }, ['a', 'b']],
  [['--name', 'x', '--', '--all'], { limit: 5, name: 'x' }, ['--all']],
  [['--name', 'x', '--all=false'], { limit: 5, name: 'x', all: false }, []],
])('%j', (argv, flags, words) => expect(parseFlags(facts, argv)).toEqual({ flags: flags as never, words }));

test.each([
  [[], 'count: --name is needed'],
  [['--name'], '--name needs a value'],
  [['--name', 'x', '--other'], 'there is no flag --other'],
  [['--name', 'x', '--constructor', 'y'], 'there is no flag --constructor'],
  [['--name', 'x', '--limit', '3.5'], '--limit 3.5 is no integer'],
  [['--name', 'x', '--all=yes'], '--all yes is no boolean'],
])('%j is refused', (argv, message) => expect(() => parseFlags(facts, argv)).toThrow(message));

test('help, and no commands to the terminal', () => {
  expect(helpText('cron', [facts])).toBe(
    './pintle cron count  Counts.\n    --limit integer   (default 5)\n    --all boolean  Everything.\n    --name string\n',
  );
  expect(helpText('cron', [])).toBe('cron has no commands\n');
  expect(visible('a\tb\u001b[31mred\u0007')).toBe('a\tb\ufffd[31mred\ufffd');
});
