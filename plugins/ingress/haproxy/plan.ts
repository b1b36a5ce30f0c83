import type { CertificateFile } from './certificates.ts';
import { defaultCertificateFile, listLine } from './certificates.ts';
import { serverText } from './config.ts';
import { payloadBytesMax } from './runtime-socket.ts';
import type { Server, Table, TableName, Tables } from './tables.ts';

/** What the running program has: as we told it, or as it was read back. */
export interface Running {
  readonly maps: Readonly<Record<TableName, Table>>;
  /** Place → server → whether it takes requests; one that does not still has connections. */
  readonly servers: ReadonlyMap<string, ReadonlyMap<string, boolean>>;
  /** File → version. */
  readonly certificates: ReadonlyMap<string, string>;
}
export type Step =
  | { readonly type: 'certificate'; readonly certificate: CertificateFile; readonly isNew: boolean }
  | { readonly type: 'forget-certificate'; readonly file: string }
  | { readonly type: 'servers'; readonly commands: readonly string[] }
  | { readonly type: 'map'; readonly name: TableName; readonly entries: Table };

/**
 * From what runs to what is wanted, in an order in which no request finds half of it: what is new can be used before it is
 * named, what is old is no longer named before it goes. Pure.
 */
export function planChanges(running: Running, wanted: Tables, certificates: readonly CertificateFile[]): Step[] {
  const files = new Set(certificates.map(({ file }) => file));
  const { coming, going } = serverCommands(running.servers, wanted.servers);
  return [
    ...certificates
      .filter(({ file, version }) => running.certificates.get(file) !== version)
      .map(
        (certificate): Step => ({
          type: 'certificate',
          certificate,
          isNew: !running.certificates.has(certificate.file),
        }),
      ),
    ...(coming.length > 0 ? [{ type: 'servers', commands: coming } as const] : []),
    ...mapSteps(running, wanted),
    ...(going.length > 0 ? [{ type: 'servers', commands: going } as const] : []),
    ...[...running.certificates.keys()]
      .filter((file) => !files.has(file) && file !== defaultCertificateFile)
      .map((file): Step => ({ type: 'forget-certificate', file })),
  ];
}

function serverCommands(running: Running['servers'], wanted: Tables['servers']): { coming: string[]; going: string[] } {
  const coming: string[] = [];
  const going: string[] = [];
  const none = new Map<string, never>();
  for (const place of new Set([...running.keys(), ...wanted.keys()])) {
    const [has, wants] = [running.get(place) ?? none, wanted.get(place) ?? (none as ReadonlyMap<string, Server>)];
    for (const [name, server] of wants) {
      if (has.get(name) === true) continue;
      if (!has.has(name)) coming.push(`add server ${place}/${name} ${serverText(server)}`);
      coming.push(`set server ${place}/${name} state ready`);
    }
    for (const [name, ready] of has)
      if (ready && !wants.has(name)) going.push(`set server ${place}/${name} state maint`);
  }
  return { coming, going };
}

/** Time-outs of a place before it is named. Each map is replaced as a whole and at once. */
const mapSteps = ({ maps: has }: Running, { maps: wants }: Tables): Step[] =>
  (['timeouts', 'routes'] as const)
    .filter((name) => !isSame(has[name], wants[name]))
    .map((name) => ({ type: 'map', name, entries: wants[name] }));

function isSame(left: Table, right: Table): boolean {
  if (left.size !== right.size) return false;
  for (const [key, value] of left) if (right.get(key) !== value) return false;
  return true;
}

/** Payloads that fill a map: lines of `KEY VALUE`. */
export function payloadsOf(entries: Table): string[] {
  const payloads: string[] = [];
  let text = '';
  for (const [key, value] of entries) {
    const line = `${key} ${value}\n`;
    if (text.length + line.length > payloadBytesMax && text) {
      payloads.push(text);
      text = '';
    }
    text += line;
  }
  return text ? [...payloads, text] : payloads;
}
export const fileTextOf = (entries: Table): string => [...entries].map(([key, value]) => `${key} ${value}\n`).join('');
export const certificateListOf = (certificates: readonly CertificateFile[]): string =>
  certificates.map((one) => `${listLine(one)}\n`).join('');
