/**
 * Makes table.json from the struct tags of the Kubernetes Go modules: field numbers, JSON names and which fields are pointers.
 * Facts only. Run: bun core/apiserver/protobuf/gen/generate.ts (needs the Go module cache; the result is committed).
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { moduleFolder, targetFolder } from '../../../api/gen/go-modules.ts';
import type { Table } from '../decode.ts';

const moduleVersion = '0.37.1';
/** Every kind of these packages gets a form. Workload groups are here too: their plugins bring nothing of their own. */
const groups = [
  'core/v1', 'events/v1', 'discovery/v1', 'coordination/v1', 'rbac/v1', 'authentication/v1', 'authorization/v1', 'certificates/v1',
  'admissionregistration/v1', 'apiregistration/v1', 'scheduling/v1', 'node/v1', 'flowcontrol/v1', 'policy/v1', 'storage/v1',
  'storagemigration/v1', 'networking/v1', 'resource/v1', 'autoscaling/v1', 'autoscaling/v2', 'apps/v1', 'batch/v1',
  'apiextensions/v1',
]; // biome-ignore format: a table
const meta = ['DeleteOptions', 'Status', 'WatchEvent', 'PartialObjectMetadata', 'PartialObjectMetadataList', 'APIGroup', 'APIGroupList', 'APIResourceList', 'APIVersions']; // biome-ignore format: a table
const scalars: Readonly<Record<string, string>> = {
  string: 's', bool: 'b', int: 'i', int32: 'i', int64: 'i', uint32: 'i', uint64: 'i', float64: 'd', '[]byte': 'y',
  'meta/v1.Time': 't', 'meta/v1.MicroTime': 'm', 'meta/v1.FieldsV1': 'f', 'meta/v1.Duration': 'u', 'meta/v1.Verbs': 'l',
  'api/resource.Quantity': 'q', 'util/intstr.IntOrString': 'x', 'runtime.RawExtension': 'r', 'types.UID': 's', 'types.NodeName': 's',
  'apiextensions/v1.JSON': 'j', 'apiextensions/v1.JSONSchemaPropsOrBool': 'B', 'apiextensions/v1.JSONSchemaPropsOrArray': 'A',
  'apiextensions/v1.JSONSchemaPropsOrStringArray': 'S',
}; // biome-ignore format: a table
const modules = {
  api: moduleFolder(`k8s.io/api@v${moduleVersion}`),
  machinery: moduleFolder(`k8s.io/apimachinery@v${moduleVersion}`),
  extensions: moduleFolder(`k8s.io/apiextensions-apiserver@v${moduleVersion}`),
  aggregator: moduleFolder(`k8s.io/kube-aggregator@v${moduleVersion}`),
};
interface Package {
  readonly source: string;
  readonly imports: ReadonlyMap<string, string>;
}
const packages = new Map<string, Package>();

function packageOf(path: string): Package {
  const known = packages.get(path);
  if (known) return known;
  const places = [
    join(modules.api, path),
    join(modules.machinery, 'pkg/apis', path),
    join(modules.extensions, 'pkg/apis', path),
    join(modules.machinery, 'pkg', path),
    join(modules.aggregator, 'pkg/apis', path),
  ];
  const folder = places.find((place) => existsSync(place));
  const files = folder
    ? readdirSync(folder).filter((name) => name.endsWith('.go') && !/_test\.go$|^generated|^zz_/.test(name))
    : [];
  const source = files.map((name) => readFileSync(join(folder!, name), 'utf8')).join('\n');
  const imports = new Map<string, string>();
  for (const [, alias, target] of source.matchAll(/^\s*(\w+)?\s*"(k8s\.io\/[^"]+)"/gm)) {
    const short = target!.replace(/^k8s\.io\/(api\/|apimachinery\/pkg\/apis\/|apimachinery\/pkg\/)/, '');
    imports.set(alias ?? short.split('/').at(-1)!, short);
  }
  const made = { source, imports };
  packages.set(path, made);
  return made;
}

/** A Go type as the table spells it: a letter, `[]` and `{}` before it, `@` before a struct. */
function spell(goType: string, path: string): string {
  if (scalars[goType]) return scalars[goType]!;
  if (goType.startsWith('*')) return spell(goType.slice(1), path);
  if (goType.startsWith('[]')) return `[]${spell(goType.slice(2), path)}`;
  const map = /^map\[[^\]]+\](.+)$/.exec(goType);
  if (map) return `{}${spell(map[1]!, path)}`;
  const [alias, name] = goType.includes('.') ? goType.split('.') : ['', goType];
  const home = alias ? (packageOf(path).imports.get(alias!) ?? alias!) : path;
  const id = `${home}.${name}`;
  if (scalars[id]) return scalars[id]!;
  const { source } = packageOf(home);
  const plain = new RegExp(`^(?:type )?\\s*${name} (?!struct)(\\S+)$`, 'm').exec(source);
  if (plain && !new RegExp(`^type ${name} struct`, 'm').test(source)) return spell(plain[1]!, home);
  visit(home, name!);
  return `@${id}`;
}

const table: Record<string, Record<string, string>> = {};
function visit(path: string, name: string): void {
  const id = `${path}.${name}`;
  if (table[id]) return;
  const fields: Record<string, string> = {};
  table[id] = fields;
  if (new RegExp(`^type ${name} struct ?\\{\\}`, 'm').test(packageOf(path).source)) return;
  const body = new RegExp(`^type ${name} struct \\{\\n([\\s\\S]*?)^\\}`, 'm').exec(packageOf(path).source)?.[1];
  if (body === undefined) throw new Error(`no struct ${id}`);
  for (const line of body.split('\n')) {
    const match = /^\s*(?:(\w+)\s+)?(\S+)\s+`json:"([^",]*)(?:,[^"]*)?".*? protobuf:"\w+,(\d+),/.exec(line);
    if (!match) continue;
    const [, , goType, jsonName, number] = match;
    fields[number!] = `${jsonName}:${goType!.startsWith('*') ? '*' : ''}${spell(goType!, path)}`;
  }
}
for (const group of groups) {
  const structs = packageOf(group).source.matchAll(/^type (\w+) struct \{\n([\s\S]*?)^\}/gm);
  for (const [, name, body] of structs) if (/^\s*metav1\.TypeMeta\b/m.test(body!)) visit(group, name!);
}
for (const name of meta) visit('meta/v1', name);
writeFileSync(join(targetFolder(import.meta.dir), 'table.json'), `${JSON.stringify(table satisfies Table)}\n`);
