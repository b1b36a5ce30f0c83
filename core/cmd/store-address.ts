import { readFileSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { messageOf, PintleError } from '#base';

/** Where the state lives, as `--store` says it. */
export type StoreAddress =
  | { readonly type: 'sqlite' }
  | {
      readonly type: 'etcd';
      readonly endpoints: readonly string[];
      readonly prefix: string | undefined;
      /** Paths of PEM files. */
      readonly tls: { readonly ca: string; readonly cert: string; readonly key: string } | undefined;
    };

export const storeSyntax =
  'sqlite, or etcd://HOST:PORT[,HOST:PORT…][/PREFIX]?ca=FILE&cert=FILE&key=FILE (on loopback also ?plaintext=1)';
const parameters = ['ca', 'cert', 'key', 'plaintext'];
const loopback = /^(127\.\d+\.\d+\.\d+|localhost|\[::1\]):\d+$/;

/** Throws PintleError BAD_STORE. */
export function parseStore(text: string): StoreAddress {
  if (text === 'sqlite') return { type: 'sqlite' };
  const match = /^etcd:\/\/([^/?]+)(\/[^?]*)?(?:\?(.*))?$/.exec(text);
  if (!match) throw bad(text, 'it is neither sqlite nor an etcd address');
  const hosts = match[1]!.split(',');
  const wrong = hosts.find((host) => !/^([a-zA-Z0-9.-]+|\[[0-9a-fA-F:]+\]):\d{1,5}$/.test(host));
  if (wrong !== undefined) throw bad(text, `"${wrong}" is not HOST:PORT`);
  const query = new URLSearchParams(match[3] ?? '');
  const unknown = [...query.keys()].find((name) => !parameters.includes(name));
  if (unknown) throw bad(text, `it knows no parameter "${unknown}"`);
  const [ca, cert, key] = ['ca', 'cert', 'key'].map((name) => query.get(name) ?? '');
  const relative = [ca, cert, key].find((path) => path && !isAbsolute(path));
  if (relative) throw bad(text, `the path ${relative} is not absolute`);
  const prefix = match[2] && match[2] !== '/' ? match[2] : undefined;
  if (query.get('plaintext') === '1') {
    const remote = hosts.find((host) => !loopback.test(host));
    if (remote) throw bad(text, `${remote} is not on loopback, so it must be reached by TLS`);
    if (ca || cert || key) throw bad(text, 'plaintext=1 and certificates exclude each other');
    return { type: 'etcd', endpoints: hosts.map((host) => `http://${host}`), prefix, tls: undefined };
  }
  if (!ca || !cert || !key) throw bad(text, 'etcd needs a CA, a client certificate and its key');
  return { type: 'etcd', endpoints: hosts.map((host) => `https://${host}`), prefix, tls: { ca, cert, key } };
}

/** Reads the PEM files. Throws PintleError BAD_STORE for one that cannot be read. */
export function readStoreTls(files: NonNullable<Extract<StoreAddress, { type: 'etcd' }>['tls']>) {
  const read = (path: string): string => {
    try {
      return readFileSync(path, 'utf8');
    } catch (error) {
      throw bad(path, `it cannot be read: ${messageOf(error)}`);
    }
  };
  return { ca: read(files.ca), cert: read(files.cert), key: read(files.key) };
}

const bad = (text: string, why: string): PintleError =>
  new PintleError('BAD_STORE', `the store ${text} cannot be used: ${why}`, `give --store ${storeSyntax}`);
