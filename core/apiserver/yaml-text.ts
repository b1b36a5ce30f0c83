import { parseExactly } from '#base';

/** YAML as upstream writes it: keys sorted, lists not indented, texts quoted where YAML 1.1 would read something else. */
export async function yamlText(value: unknown): Promise<string> {
  const { stringify } = await import('yaml');
  return stringify(parseExactly(JSON.stringify(value)), {
    aliasDuplicateObjects: false,
    indentSeq: false,
    lineWidth: 0,
    schema: 'yaml-1.1',
    sortMapEntries: true,
  });
}
