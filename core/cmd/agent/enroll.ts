import { createConnection } from 'node:net';
import { messageOf, PintleError } from '#base';
import type { JoinAnswer, JoinRequest } from '../../apiserver/enrollment/desk.ts';
import { hashOfAuthority, type JoinToken, parseJoinToken } from '../../apiserver/enrollment/join-token.ts';
import { enrollmentPaths } from '../../apiserver/enrollment/paths.ts';
import { refusalOf } from './identity.ts';
import { serverName } from './way.ts';

const askMsMax = 15_000;
const portDefault = 6443;

/** `https://HOST:PORT`, from what a person typed. */
export function serverUrl(text: string): string {
  try {
    const url = new URL(/^[a-z]+:\/\//i.test(text) ? text : `https://${text}`);
    const plain = url.pathname === '/' && !url.search && !url.username;
    if (url.protocol === 'https:' && url.hostname && plain) return `https://${url.hostname}:${portOf(url, text)}`;
  } catch {}
  throw new PintleError('BAD_FLAG', `${text} is no address of a server`, 'write it as https://10.0.0.1:6443');
}
/** A URL forgets 443, which somebody may have meant. */
const portOf = (url: URL, text: string): number => Number(url.port) || (/:443\/?$/.test(text) ? 443 : portDefault);

export function tokenFlag(text: string | undefined): JoinToken {
  const token = parseJoinToken(text ?? '');
  if (token) return token;
  throw new PintleError(
    'BAD_TOKEN',
    text ? 'the text behind --token is no join token' : 'a join token is needed',
    'copy the whole line that ./pintle token create printed on the server',
  );
}

/** The server's authority, once it is the one that the token names. Nothing of this host is sent before. Resolves to its PEM. */
export async function pinnedAuthority(server: string, token: JoinToken): Promise<string> {
  const answer = await ask(server, enrollmentPaths.authority, { tls: { rejectUnauthorized: false } });
  const text = await answer.text();
  let shown: string;
  try {
    if (!answer.ok) throw new Error(String(answer.status));
    shown = hashOfAuthority(text);
  } catch {
    throw new PintleError(
      'NO_SERVER',
      `at ${server} answers nobody that hosts can join (HTTP ${answer.status})`,
      'name the address that ./pintle token create printed; a cluster of one host cannot be joined',
    );
  }
  if (shown === token.caHash) return text;
  throw new PintleError(
    'JOIN_PIN_MISMATCH',
    `the server at ${server} is not the one that made this token: its authority is sha256:${shown}, the token names sha256:${token.caHash}`,
    'check the address; if it is right, somebody stands between this host and the server, or the token is another cluster’s',
  );
}

export const joinAt = async (server: string, ca: string, request: JoinRequest): Promise<JoinAnswer> => {
  const answer = await ask(server, enrollmentPaths.join, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(request),
    tls: { ca, serverName },
  });
  if (answer.ok) return (await answer.json()) as JoinAnswer;
  const { reason, message } = await refusalOf(answer);
  throw refusal(reason, message, request.nodeName);
};

async function ask(server: string, path: string, init: object): Promise<Response> {
  try {
    return await fetch(server + path, {
      redirect: 'manual',
      ...init,
      signal: AbortSignal.timeout(askMsMax),
      proxy: false as unknown as string, // the only value that overrides HTTP_PROXY; the types do not know it
    } as RequestInit);
  } catch (error) {
    throw new PintleError(
      'SERVER_UNREACHABLE',
      `the server at ${server} is not reached: ${messageOf(error)}`,
      'check the address, and that TCP to that port is let through; on the server: ./pintle status',
    );
  }
}

const anotherToken = 'make a new one on the server: ./pintle token create';
function refusal(reason: string, message: string, nodeName: string): PintleError {
  switch (reason) {
    case 'JoinTokenUnknown':
      return new PintleError('JOIN_TOKEN_UNKNOWN', message, `it was deleted, or is wrong; ${anotherToken}`);
    case 'JoinTokenExpired':
      return new PintleError('JOIN_TOKEN_EXPIRED', message, anotherToken);
    case 'JoinTokenUsed':
      return new PintleError('JOIN_TOKEN_USED', `${message}; each token is good once`, anotherToken);
    case 'ClockSkew':
      return new PintleError('CLOCK_SKEW', message, 'set the clock, as by timedatectl set-ntp true, and join again');
    case 'NodeNameTaken':
      return new PintleError(
        'NODE_NAME_TAKEN',
        message,
        `name this host otherwise with --node-name, or, when the other is gone, on the server: ./pintle node remove ${nodeName}`,
      );
    default:
      return new PintleError(
        'JOIN_REFUSED',
        `the server refused: ${message}`,
        'see ./pintle logs apiserver on the server',
      );
  }
}

/** The address with which this host reaches the server. */
export function localAddressTo(server: string): Promise<string> {
  const { hostname, port } = new URL(server);
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) || 443 });
    socket.setTimeout(askMsMax, () => socket.destroy(new Error('no answer')));
    socket.once('connect', () => {
      const address = socket.localAddress ?? '';
      socket.destroy();
      resolve(address.replace(/^::ffff:/, ''));
    });
    socket.once('error', reject);
  });
}
