import { expect, test } from 'bun:test';
import { t } from '#sdk';
import { configMistakes } from './config-check.ts';

const schema = t.object({
  maxActive: t.int().min(1).default(50),
  mode: t.enum('fast', 'slow').optional(),
  names: t.map(t.string()).optional(),
}).json;
test.each<[unknown, string[]]>([
  [{}, []],
  [{ maxActive: 3, mode: 'slow', names: { a: 'b' } }, []],
  [
    { maxActive: 0 },
    ['config.maxActive: Invalid value: 0: config.maxActive in body should be greater than or equal to 1'],
  ],
  [{ mode: 'other' }, [expect.stringContaining('config.mode: Unsupported value: "other"') as never]],
  [{ maxActve: 3 }, ['config.maxActve: there is no such field']],
  [{ maxActive: 'x' }, [expect.stringContaining('config.maxActive: Invalid value') as never]],
  [JSON.parse('{"__proto__":{"maxActive":0}}'), ['config.__proto__: there is no such field']],
])('%j: %j', (config, mistakes) => expect(configMistakes(schema, config as object as never)).toEqual(mistakes));

test('__proto__ of a configuration changes nobody', () => {
  configMistakes(schema, JSON.parse('{"names":{"__proto__":{"polluted":"yes"}}}'));
  expect(({} as { polluted?: string }).polluted).toBeUndefined();
});
