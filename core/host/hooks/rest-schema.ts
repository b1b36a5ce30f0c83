import type { Field, FieldError } from '#api';
import { type JsonSchema, type KindSchema, type RestKindFacts, schemas } from '#sdk';
import { sha256Of } from '../bundle.ts';

type Json = Record<string, unknown>;
const anything: Json = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
const schemaCharactersMax = 256 * 1024;

export interface RestSchema extends KindSchema {
  mistakes(object: object): FieldError[];
}
/** What is published of a kind that a plugin answers itself, and what is held against what is written. */
export function restSchema({ group, version, kind, schema }: RestKindFacts): RestSchema {
  const raw = structuredClone(schema ?? anything) as Json;
  const node = schemas.compileSchema(structuredClone(raw));
  return {
    revision: sha256Of(JSON.stringify(raw)),
    prune: (object) => schemas.prune(node, object),
    applyDefaults: (object) => schemas.applyDefaults(node, object),
    get owned(): Field {
      return schemas.ownedFields(node, true);
    },
    openApi: (dialect) => schemas.documentOf(raw, { group, version, kind }, dialect),
    mistakes: (object) => {
      const found = schemas.validateValue(node, object, '');
      const rules = node.has.rules && found.length === 0;
      return rules ? [...found, ...schemas.checkRules(node, object, schemas.uncorrelated).mistakes] : found;
    },
  };
}

/** Why a manifest's schema cannot be used; undefined: it can. Pure. */
export function apiSchemaMistake(schema: JsonSchema): string | undefined {
  if (typeof schema !== 'object' || schema === null || schema['type'] !== 'object') return 'must describe an object';
  if (JSON.stringify(schema).length > schemaCharactersMax) return `has more than ${schemaCharactersMax} characters`;
  try {
    restSchema({ group: 'a.b', version: 'v1', kind: 'A', plural: 'as', namespaced: true, verbs: [], schema });
    return undefined;
  } catch (error) {
    return `cannot be used: ${(error as Error).message}`;
  }
}
