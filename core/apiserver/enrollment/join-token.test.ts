import { expect, test } from 'bun:test';
import type { Secret } from '#api';
import { createAuthority } from '../../wire/pki.ts';
import {
  encoded,
  fieldOf,
  joinTokenSecret,
  joinTokenText,
  judgeJoinToken,
  newJoinToken,
  parseJoinToken,
  usedBy,
} from './join-token.ts';

const nowMs = Date.parse('2026-11-21T12:00:00Z');
const authority = await createAuthority('pintle-ca', nowMs);
const token = newJoinToken(authority.cert);
const stored = joinTokenSecret(token, 900, nowMs);
const asker = { nodeName: 'h2', thumbprint: 'mine' };

test('the text carries the pin, and is read back', () => {
  expect(parseJoinToken(` ${joinTokenText(token)}\n`)).toEqual(token);
  for (const text of [
    '',
    'pintle.abc',
    `${joinTokenText(token)}0`,
    joinTokenText(token).toUpperCase(),
    'abcdef.0123456789abcdef',
  ])
    expect(parseJoinToken(text)).toBeUndefined();
});

test('its secret is not stored', () => {
  const text = Object.keys(stored.data!)
    .map((name) => fieldOf(stored, name))
    .join(' ');
  expect(text).not.toContain(token.secret);
});

const used: Secret = { ...stored, data: { ...stored.data, ...usedBy('h2', 'mine', nowMs) } };
const deleted: Secret = { ...stored, metadata: { ...stored.metadata, deletionTimestamp: '2026-11-21T12:00:00Z' } };
const table: readonly [
  what: string,
  found: Secret | undefined,
  secret: string,
  atMs: number,
  asker: typeof asker,
  verdict: string,
][] = [
  ['fresh', stored, token.secret, nowMs, asker, 'good'],
  ['in its last second', stored, token.secret, nowMs + 899_000, asker, 'good'],
  ['late', stored, token.secret, nowMs + 900_000, asker, 'expired'],
  [
    'with a time that nobody can read',
    { ...stored, data: { ...stored.data, ...encoded({ expiration: 'soon' }) } },
    token.secret,
    nowMs,
    asker,
    'expired',
  ],
  ['of another secret', stored, 'f'.repeat(32), nowMs, asker, 'unknown'],
  ['of another secret, late: nothing is learnt', stored, 'f'.repeat(32), nowMs + 900_000, asker, 'unknown'],
  ['that is not there', undefined, token.secret, nowMs, asker, 'unknown'],
  ['that is being deleted', deleted, token.secret, nowMs, asker, 'unknown'],
  ['of another type', { ...stored, type: 'Opaque' }, token.secret, nowMs, asker, 'unknown'],
  ['used by this host, whose answer got lost', used, token.secret, nowMs + 10_000_000, asker, 'again'],
  ['used by another', used, token.secret, nowMs, { ...asker, nodeName: 'h3' }, 'used'],
  ['used by another of the same name', used, token.secret, nowMs, { ...asker, thumbprint: 'other' }, 'used'],
];
test.each(table)('a token %s', (_what, found, secret, atMs, who, verdict) => {
  expect<string>(judgeJoinToken(found, secret, who, atMs).type).toBe(verdict);
});
