import { expect, test } from 'bun:test';
import { negotiatePortForward, readPorts } from './port-forward-channels.ts';

test.each([
  ['port=80&port=81', [80, 81]],
  ['port=80,81', [80, 81]],
  ['', 'query parameter "port" is required'],
  ['port=', 'query parameter "port" cannot be empty'],
  ['port=0', 'port "0" must be > 0'],
  ['port=x', 'unable to parse "x" as a port'],
  ['port=65536', 'unable to parse "65536" as a port'],
  [`port=${Array.from({ length: 101 }, (_, index) => index + 1)}`, 'at most 100 ports at once'],
])('the ports of %s', (query, expected) => {
  expect<unknown>(readPorts(new URLSearchParams(query))).toEqual(expected);
});

test.each([
  [null, ''],
  ['v5.channel.k8s.io, v4.channel.k8s.io', 'v4.channel.k8s.io'],
  ['v4.base64.channel.k8s.io', 'v4.base64.channel.k8s.io'],
  ['channel.k8s.io', undefined],
])('the protocol for %s', (offered, expected) => {
  expect(negotiatePortForward(offered)?.name).toBe(expected as string);
});
