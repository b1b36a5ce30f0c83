import type { CertificateFile } from './certificates.ts';
import { mapFile, names } from './config.ts';
import type { Running } from './plan.ts';
import { parseCertificateList, parseMap, parseServers, type RuntimeSocket } from './runtime-socket.ts';
import type { Table, TableName } from './tables.ts';

/** What the program says that it has. Versions of certificates are taken on trust: it shows no keys. */
export async function readBack(
  socket: RuntimeSocket,
  known: Running,
  certificates: readonly CertificateFile[],
): Promise<Running> {
  const map = async (name: TableName): Promise<Table> => {
    const { entries, twice } = parseMap(await socket.ask(`show map ${mapFile(name)}`));
    return twice ? new Map() : entries; // of two the first counts: it is filled anew
  };
  const places = parseServers(await socket.ask('show servers state'));
  const servers = new Map([...places].map(([place, own]) => [place, readyOf(own)]));
  const listed = parseCertificateList(await socket.ask(`show ssl crt-list -n ${names.certificates}`).catch(() => ''));
  const wanted = new Map(certificates.map((one) => [one.file, one.names.join(' ')]));
  const versions = [...known.certificates].filter(
    ([file]) => listed.size === 0 || listed.get(file) === wanted.get(file),
  );
  return {
    maps: { routes: await map('routes'), timeouts: await map('timeouts') },
    servers,
    certificates: new Map(versions),
  };
}

/** One that stands at another address than its name says takes no requests as far as we are concerned. */
const readyOf = (servers: ReadonlyMap<string, { ready: boolean; address: string }>): Map<string, boolean> =>
  new Map([...servers].map(([name, { ready, address }]) => [name, ready && address === name]));
