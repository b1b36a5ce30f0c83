import type { CertificateFile } from './certificates.ts';
import { listLine } from './certificates.ts';
import { mapFile, names } from './config.ts';
import { payloadsOf, type Step } from './plan.ts';
import type { RuntimeSocket } from './runtime-socket.ts';
import type { Table } from './tables.ts';

/** Does one step of a plan; rejects with RuntimeSocketError when the program refuses it. */
export async function carryOut(socket: RuntimeSocket, step: Step): Promise<void> {
  switch (step.type) {
    case 'servers':
      return socket.tell(step.commands);
    case 'map':
      return fillMap(socket, mapFile(step.name), step.entries);
    case 'certificate':
      return putCertificate(socket, step.certificate, step.isNew);
    case 'forget-certificate':
      await socket.ask(`del ssl crt-list ${names.certificates} ${step.file}`);
      await socket.ask(`del ssl cert ${step.file}`);
  }
}

/** All of it or nothing: requests see the former content until the new one is whole. */
async function fillMap(socket: RuntimeSocket, file: string, entries: Table): Promise<void> {
  const version = /(\d+)\s*$/.exec(await socket.ask(`prepare map ${file}`))?.[1];
  for (const payload of payloadsOf(entries)) await socket.ask(`add map @${version} ${file}`, payload);
  await socket.ask(`commit map @${version} ${file}`);
}

/** Connections keep the one they began with. */
async function putCertificate(socket: RuntimeSocket, certificate: CertificateFile, isNew: boolean): Promise<void> {
  const { file, pem } = certificate;
  if (isNew) await socket.ask(`new ssl cert ${file}`);
  try {
    await socket.ask(`set ssl cert ${file}`, pem);
    await socket.ask(`commit ssl cert ${file}`);
  } catch (error) {
    await socket.ask(`abort ssl cert ${file}`).catch(() => {}); // else the next one meets a transaction that is open
    throw error;
  }
  if (isNew) await socket.ask(`add ssl crt-list ${names.certificates}`, `${listLine(certificate)}\n`);
}

/** Servers without requests that were told to take none; those that still have connections are left for the next time. */
export async function sweepServers(
  socket: RuntimeSocket,
  servers: ReadonlyMap<string, ReadonlyMap<string, boolean>>,
): Promise<[place: string, server: string][]> {
  const gone: [string, string][] = [];
  for (const [place, own] of servers)
    for (const [name, ready] of own) {
      if (ready) continue;
      const isGone = await socket.ask(`del server ${place}/${name}`).then(
        () => true,
        () => false,
      );
      if (isGone) gone.push([place, name]);
    }
  return gone;
}
