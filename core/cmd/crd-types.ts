import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { Kind, KubeObject } from '#api';
import { messageOf, PintleError } from '#base';
import { schemas } from '#sdk';
import { connect } from './connect.ts';
import { openHome } from './home.ts';

export interface CrdOptions {
  readonly home?: string;
  readonly all?: boolean;
  readonly out?: string;
}
type Definition = KubeObject & schemas.DefinitionText;
const textBytesMax = 16 * 1024 * 1024;
const fetchMs = 30_000;

/** `crd types`: TypeScript types of custom resources, from a file, an address or the running cluster; to the output or a folder. */
export async function crd(verb: string, source: string | undefined, options: CrdOptions): Promise<void> {
  if (verb !== 'types')
    throw new PintleError('UNKNOWN_VERB', `crd knows no ${verb}`, 'use ./pintle crd types FILE|URL, or --all');
  if ((source === undefined) === !options.all)
    throw new PintleError(
      'BAD_ARGUMENTS',
      'crd types needs a file, an address or --all',
      'use ./pintle crd types FILE',
    );
  const definitions = options.all ? await fromCluster(options) : definitionsIn(await read(source!), source!);
  const made = definitions.map((definition) => ({ name: fileName(definition), text: schemas.typesOf(definition) }));
  if (options.out === undefined) {
    process.stdout.write(made.map(({ text }) => text).join('\n'));
    return;
  }
  mkdirSync(options.out, { recursive: true });
  for (const { name, text } of made) writeFileSync(join(options.out, name), text);
  process.stdout.write(`${made.length} files in ${options.out}: ${made.map(({ name }) => name).join(', ')}\n`);
}

/** `httproutes.gateway.networking.k8s.io.ts`: a name that no path can be made of. */
const fileName = ({ metadata }: Definition): string =>
  `${(metadata.name ?? 'definition').replaceAll(/[^a-z0-9.-]/g, '_').replace(/^\.+/, '_')}.ts`;

async function fromCluster(options: CrdOptions): Promise<Definition[]> {
  const home = openHome(options.home);
  const { items } = await connect(home, home.read(), 'admin').list(schemas.definitionKind as Kind<Definition>);
  return items;
}

async function read(source: string): Promise<string> {
  try {
    if (!/^https?:\/\//.test(source)) return readFileSync(source, 'utf8');
    const answer = await fetch(source, { signal: AbortSignal.timeout(fetchMs) });
    if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
    const bytes = await answer.arrayBuffer();
    if (bytes.byteLength > textBytesMax) throw new Error(`it is larger than ${textBytesMax} bytes`);
    return new TextDecoder().decode(bytes);
  } catch (error) {
    throw unreadable(source, messageOf(error));
  }
}
const unreadable = (source: string, why: string): PintleError =>
  new PintleError(
    'DEFINITIONS_UNREADABLE',
    `no definitions can be read from ${source}: ${why}`,
    'name a file or an address with CustomResourceDefinitions in YAML or JSON',
  );

/** Those of apiextensions.k8s.io/v1 among the documents; lists are opened. */
function definitionsIn(text: string, source: string): Definition[] {
  const found: Definition[] = [];
  const take = (value: unknown): void => {
    const object = value as (Partial<Definition> & { items?: unknown[] }) | null;
    if (object?.kind === 'CustomResourceDefinition' && object.spec?.versions) found.push(object as Definition);
    else if (/List$/.test(object?.kind ?? '') && Array.isArray(object?.items)) object.items.forEach(take);
  };
  try {
    for (const document of parseAllDocuments(text)) {
      if (document.errors.length > 0) throw document.errors[0]!;
      take(document.toJS({ maxAliasCount: 1000 }));
    }
  } catch (error) {
    throw unreadable(source, messageOf(error));
  }
  if (found.length === 0) throw unreadable(source, 'it holds none');
  return found;
}
