import { type JsonSchema, schemas } from '#sdk';

/**
 * Every mistake of a plugin's configuration, with its path: `config.maxActive: …`. Fields that its schema does not know
 * are mistakes; a plugin without a schema takes what it is given. Pure.
 */
export function configMistakes(schema: JsonSchema | undefined, config: Readonly<Record<string, unknown>>): string[] {
  if (!schema) return [];
  const node = schemas.compileSchema(structuredClone(schema) as Record<string, unknown>);
  const draft = structuredClone(config) as Record<string, unknown>;
  const unknown = schemas.pruneValue(node, draft).map((path) => `config.${path}: there is no such field`);
  schemas.applyDefaults(node, draft);
  const mistakes = [
    ...schemas.validateValue(node, draft, 'config'),
    ...(node.has.rules ? schemas.checkRules(node, draft, schemas.uncorrelated).mistakes : []),
  ];
  return [...unknown, ...mistakes.map(({ field, message }) => `${field}: ${message}`)];
}
