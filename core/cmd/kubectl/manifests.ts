import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { type AnyObject, ServerError } from './api.ts';

const bytesMax = 10 * 1024 * 1024; // of one file

/** Objects of YAML or JSON files, folders (not deeper) and `-` for the standard input; lists are taken apart. */
export async function readManifests(places: readonly string[]): Promise<AnyObject[]> {
  const objects: AnyObject[] = [];
  for (const place of places) for (const { name, text } of await textsOf(place)) objects.push(...objectsOf(name, text));
  if (objects.length === 0) throw new ServerError(400, 'error: no objects passed to apply');
  return objects;
}

async function textsOf(place: string): Promise<{ name: string; text: string }[]> {
  if (place === '-') return [{ name: 'standard input', text: await Bun.stdin.text() }];
  if (!existsSync(place)) throw new ServerError(404, `error: the path "${place}" does not exist`);
  const files = statSync(place).isDirectory()
    ? readdirSync(place)
        .filter((name) => /\.(ya?ml|json)$/.test(name))
        .sort()
        .map((name) => join(place, name))
    : [place];
  return files.map((name) => {
    if (statSync(name).size > bytesMax) throw new ServerError(413, `error: ${name} is larger than ${bytesMax} bytes`);
    return { name, text: readFileSync(name, 'utf8') };
  });
}

/** Every object of a text. Throws with line and column of a mistake. Pure. */
export function objectsOf(name: string, text: string): AnyObject[] {
  return parseAllDocuments(text).flatMap((document) => {
    const mistake = document.errors[0];
    if (mistake) throw new ServerError(400, `error: error parsing ${name}: ${mistake.message}`);
    const value = document.toJS({ maxAliasCount: 100 }) as AnyObject | null;
    if (value === null) return [];
    if (typeof value !== 'object' || !value.kind || !value.apiVersion)
      throw new ServerError(400, `error: error validating ${name}: apiVersion and kind must be set`);
    return value.kind === 'List' ? ((value['items'] ?? []) as AnyObject[]) : [value];
  });
}
