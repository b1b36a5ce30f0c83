import { parseExactly } from '#base';

/** YAML as upstream writes it: keys sorted, lists not indented, texts quoted where YAML 1.1 would read something else. */
export const yamlText = (value: unknown): Promise<string> => yamlOf(parseExactly(JSON.stringify(value)));

/** `plain`: as parsed from JSON. */
export async function yamlOf(plain: unknown): Promise<string> {
  const { stringify } = await import('yaml');
  return stringify(plain, {
    aliasDuplicateObjects: false,
    indentSeq: false,
    lineWidth: 0,
    schema: 'yaml-1.1',
    sortMapEntries: true,
  });
}
