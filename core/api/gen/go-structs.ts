/**
 * Which fields Go leaves out of JSON when they are zero: `omitempty` on anything but a pointer or a struct.
 * The OpenAPI documents do not say it, so it is read from the tags in the API packages' sources.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

interface GoField {
  readonly json: string;
  readonly embedded?: string;
  readonly omitZero: boolean;
}
const fieldPattern = /^\t(?:(\w+)\s+)?([*\w.[\]]+)\s+`json:"([^"]*)"/;

function structsOf(source: string): Map<string, GoField[]> {
  const structs = new Map<string, GoField[]>();
  let current: GoField[] | undefined;
  for (const line of source.split('\n')) {
    const start = /^type (\w+) struct \{/.exec(line);
    if (start) structs.set(start[1]!, (current = []));
    else if (line.startsWith('}')) current = undefined;
    const field = current && fieldPattern.exec(line);
    if (!field) continue;
    const [name = '', ...flags] = field[3]!.split(',');
    const type = field[2]!;
    if (!name) current!.push({ json: '', embedded: type.replace(/^\*/, '').split('.').at(-1), omitZero: false });
    else current!.push({ json: name, omitZero: flags.includes('omitempty') && !type.startsWith('*') });
  }
  return structs;
}

/** For a type's id such as `io.k8s.api.core.v1.Pod`: the names of its fields that are left out when zero. */
export function readOmitted(
  apiFolder: string,
  machineryFolder: string,
  extensionsFolder = '',
): (id: string) => ReadonlySet<string> {
  const packages = new Map<string, Map<string, GoField[]>>();
  const load = (folder: string): Map<string, GoField[]> => {
    const known = packages.get(folder);
    if (known) return known;
    const structs = new Map<string, GoField[]>();
    packages.set(folder, structs);
    if (!existsSync(folder)) return structs;
    for (const file of readdirSync(folder).filter((name) => /types.*\.go$|micro_time|^meta\.go$/.test(name)))
      for (const [name, fields] of structsOf(readFileSync(join(folder, file), 'utf8'))) structs.set(name, fields);
    return structs;
  };
  return (id) => {
    const [group, version, name] = id.split('.').slice(-3) as [string, string, string];
    const folder = id.startsWith('io.k8s.api.')
      ? join(apiFolder, group, version)
      : join(id.includes('.apiextensions-apiserver.') ? extensionsFolder : machineryFolder, 'pkg/apis', group, version);
    const structs = load(folder);
    const omitted = new Set<string>();
    const collect = (struct: string): void => {
      for (const field of structs.get(struct) ?? []) {
        if (field.embedded) collect(field.embedded);
        else if (field.omitZero) omitted.add(field.json);
      }
    };
    collect(name);
    return omitted;
  };
}
