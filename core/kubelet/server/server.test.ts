import { expect, test } from 'bun:test';
import { silentLog, systemClock } from '#base';
import { createAuthority, issueServing } from '../../wire/pki.ts';
import { createKubeletServer, type KubeletServerOptions } from './server.ts';

test('a port that somebody else took is no reason not to serve', async () => {
  const authority = await createAuthority('test', Date.now());
  const names = { commonName: 'n1', dnsNames: ['n1'], ipAddresses: ['127.0.0.1'], days: 1, nowMs: Date.now() };
  const { key, cert } = await issueServing(authority, names);
  const options = {
    verify: async () => false,
    tls: { key, cert },
    hostname: '127.0.0.1',
    port: 0,
    clock: systemClock,
    log: silentLog,
  } as unknown as KubeletServerOptions;
  await using first = await createKubeletServer(options);
  await using second = await createKubeletServer({ ...options, port: first.port });
  expect(second.port).not.toBe(first.port);
  expect(second.port).toBeGreaterThan(0);
});
