import { expect, test } from 'bun:test';
import { X509Certificate } from 'node:crypto';
import { systemClock } from '#base';
import { rejection } from '../../test/fixtures/rejection.ts';
import { createAuthority, issueClient, issueServing, needsRenewal } from './pki.ts';

const nowMs = Date.parse('2026-11-21T12:00:00Z');
const dayMs = 86_400_000;
const wanted = { dnsNames: ['kubernetes', 'localhost'], ipAddresses: ['127.0.0.1', '10.96.0.1'] };

test('an independent parser accepts the chain, the names and the addresses', async () => {
  const authority = await createAuthority('pintle-ca', nowMs);
  const serving = await issueServing(authority, { commonName: 'apiserver', ...wanted, days: 365, nowMs });
  const ca = new X509Certificate(authority.cert);
  const leaf = new X509Certificate(serving.cert);
  expect(ca.ca).toBe(true);
  expect(leaf.ca).toBe(false);
  expect(leaf.checkIssued(ca)).toBe(true);
  expect(leaf.verify(ca.publicKey)).toBe(true);
  expect(leaf.checkHost('localhost')).toBe('localhost');
  expect(leaf.checkIP('10.96.0.1')).toBe('10.96.0.1');
  expect(leaf.checkHost('example.com')).toBeUndefined();
});

test('a TLS server with it is trusted by a client that knows the authority, and by no other', async () => {
  const authority = await createAuthority('pintle-ca', systemClock.now());
  const { cert, key } = await issueServing(authority, {
    commonName: 'x',
    ...wanted,
    days: 1,
    nowMs: systemClock.now(),
  });
  using server = Bun.serve({ port: 0, hostname: '127.0.0.1', tls: { cert, key }, fetch: () => new Response('hello') });
  const url = `https://127.0.0.1:${server.port}/`;
  expect(await (await fetch(url, { tls: { ca: authority.cert } })).text()).toBe('hello');
  const other = await createAuthority('pintle-ca', systemClock.now());
  expect(await rejection(fetch(url, { tls: { ca: other.cert } }))).toBeInstanceOf(Error);
  await server.stop(true);
});

test('a client certificate carries the user and the groups, whatever characters they hold', async () => {
  const authority = await createAuthority('pintle-ca', nowMs);
  const organizations = ['system:masters', 'a,O=b'];
  const { cert } = await issueClient(authority, { commonName: 'admin', organizations, days: 1, nowMs });
  const legacy = new X509Certificate(cert).toLegacyObject().subject as unknown as { O: string[]; CN: string };
  expect(legacy.O).toEqual(organizations);
  expect(legacy.CN).toBe('admin');
});

test('renewal: near the end, before the start, or for a new name', async () => {
  const authority = await createAuthority('pintle-ca', nowMs);
  const { cert } = await issueServing(authority, { commonName: 'x', ...wanted, days: 100, nowMs });
  expect(needsRenewal(cert, nowMs, wanted)).toBe(false);
  expect(needsRenewal(cert, nowMs + 79 * dayMs)).toBe(false);
  expect(needsRenewal(cert, nowMs + 81 * dayMs)).toBe(true);
  expect(needsRenewal(cert, nowMs - dayMs)).toBe(true);
  expect(needsRenewal(cert, nowMs, { ipAddresses: ['10.0.0.9'] })).toBe(true);
});
