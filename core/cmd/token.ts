import { isReason, type KubeObject, type Secret, secretKind } from '#api';
import { PintleError } from '#base';
import type { Client } from '#client';
import {
  enrollmentNamespace,
  fieldOf,
  joinTokenName,
  joinTokenSecret,
  joinTokenText,
  joinTokenType,
  newJoinToken,
} from '../apiserver/enrollment/join-token.ts';
import { connect } from './connect.ts';
import { type Config, type Home, openHome } from './home.ts';
import { serversOf } from './roles/enrollment.ts';

const ttlDefault = '15m';
const ttlSecondsMax = 7 * 86_400;
const keptDays = 7; // what became of a token is said for so long

/** `token create|list|delete`: what another host joins with. */
export async function token(
  verb: string,
  id: string | undefined,
  options: { home?: string; ttl?: string; json?: boolean },
): Promise<void> {
  const home = openHome(options.home);
  const config = home.read();
  if (config.role !== 'server')
    throw new PintleError(
      'NO_SERVER',
      config.role === 'agent'
        ? 'this host joined a cluster; tokens are made on its server'
        : 'nobody can join a cluster of one host',
      config.role === 'agent'
        ? 'run this on the server'
        : 'start a server for several hosts in a new home: ./pintle server --home DIR',
    );
  const client = connect(home, config, 'admin');
  if (verb === 'create') return create(home, config, client, secondsOf(options.ttl ?? ttlDefault), options.json);
  if (verb === 'list') return list(client, options.json);
  if (verb === 'delete') return remove(client, id);
  throw new PintleError('BAD_ARGUMENTS', `there is no token ${verb}`, './pintle token create|list|delete');
}

async function create(home: Home, config: Config, client: Client, ttlSeconds: number, json?: boolean): Promise<void> {
  const nowMs = Date.now();
  const made = newJoinToken(home.readFile('pki/ca.crt') ?? '');
  await said(client.create(secretKind, joinTokenSecret(made, ttlSeconds, nowMs)), config);
  await forgetOld(client, nowMs);
  const text = joinTokenText(made);
  const [server] = serversOf(config);
  const command = `./pintle join ${server} --token ${text}`;
  if (json) process.stdout.write(`${JSON.stringify({ id: made.id, token: text, server, command, ttlSeconds })}\n`);
  else process.stdout.write(`${text}\n  good once, for ${ttlSeconds} s. On the other host, as root:\n  ${command}\n`);
}

const tokensOf = async (client: Client): Promise<(Secret & KubeObject)[]> =>
  (await client.list(secretKind, { namespace: enrollmentNamespace, fieldSelector: `type=${joinTokenType}` })).items;

/** Tokens that nobody can use any more, after a while in which `list` still tells of them. */
async function forgetOld(client: Client, nowMs: number): Promise<void> {
  for (const one of await tokensOf(client)) {
    const expiredMs = Date.parse(fieldOf(one, 'expiration')) || 0;
    if (nowMs - expiredMs < keptDays * 86_400_000) continue;
    await client.delete(secretKind, { namespace: enrollmentNamespace, name: one.metadata.name! }).catch(() => {});
  }
}

async function list(client: Client, json?: boolean): Promise<void> {
  const rows = (await tokensOf(client)).map((one) => {
    const expires = fieldOf(one, 'expiration');
    const usedBy = fieldOf(one, 'used-by');
    const state = usedBy ? 'used' : Date.parse(expires) > Date.now() ? 'good' : 'expired';
    return { id: one.metadata.name!.slice(joinTokenName('').length), state, expires, usedBy };
  });
  if (json) return void process.stdout.write(`${JSON.stringify(rows)}\n`);
  const line = (...columns: string[]) =>
    columns
      .map((text, at) => text.padEnd([8, 9, 22, 0][at]!))
      .join('')
      .trimEnd();
  const lines = rows.map(({ id, state, expires, usedBy }) => line(id, state, expires, usedBy));
  process.stdout.write(`${[line('ID', 'STATE', 'EXPIRES', 'USED BY'), ...lines].join('\n')}\n`);
}

async function remove(client: Client, id: string | undefined): Promise<void> {
  if (!id) throw new PintleError('BAD_ARGUMENTS', 'token delete needs an id', './pintle token list');
  const short = /^pintle\.([a-z0-9]{6})\./.exec(id)?.[1] ?? id;
  try {
    await client.delete(secretKind, { namespace: enrollmentNamespace, name: joinTokenName(short) });
  } catch (error) {
    if (!isReason(error, 'NotFound')) throw error;
    throw new PintleError('TOKEN_UNKNOWN', `there is no join token ${short}`, './pintle token list');
  }
  process.stdout.write(`token ${short} is deleted\n`);
}

async function said<T>(work: Promise<T>, config: Config): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!isReason(error, 'ServiceUnavailable')) throw error;
    throw new PintleError(
      'API_SILENT',
      `the API server at https://127.0.0.1:${config.port} does not answer`,
      'start it: ./pintle server --detach',
    );
  }
}

/** `90s`, `15m`, `2h` in seconds. */
export function secondsOf(text: string): number {
  const [, count, unit] = /^(\d{1,6})(s|m|h|d)$/.exec(text) ?? [];
  const seconds = Number(count) * ({ s: 1, m: 60, h: 3600, d: 86_400 }[unit ?? ''] ?? Number.NaN);
  if (seconds > 0 && seconds <= ttlSecondsMax) return seconds;
  throw new PintleError('BAD_FLAG', `--ttl ${text} is no time between 1s and 7d`, 'write it as --ttl 15m');
}
