import { expect, test } from 'bun:test';
import { parseFlows, type Served, staleFlows } from './conntrack.ts';

const line = (backend: string, to = '10.96.0.12', port = 53, client = '10.244.0.9') =>
  `udp      17 29 src=${client} dst=${to} sport=5000 dport=${port} src=${backend} dst=${client} sport=5353 dport=5000 [ASSURED] mark=0 use=1`;
const service = (addresses: string[], ...backends: string[]): Served => ({
  protocol: 'udp',
  addresses,
  port: 53,
  nodePort: 30053,
  backends: backends.map((ip) => ({ ip, port: 5353 })),
});
const dns = service(['10.96.0.12', '203.0.113.1'], '10.244.0.5');

test.each([
  ['answered by a backend of now', line('10.244.0.5'), 0],
  ['answered by one that went', line('10.244.0.6'), 1],
  ['by way of another address', line('10.244.0.6', '203.0.113.1'), 1],
  ['never translated', line('10.96.0.12'), 1],
  ['somebody else', line('10.244.0.6', '198.51.100.1'), 0],
  ['node port, stale', line('10.244.0.6', '192.0.2.1', 30053), 1],
  ['same number elsewhere', line('198.51.100.1', '198.51.100.1', 30053), 0],
  ['of two clients', `${line('10.244.0.6')}\n${line('10.244.0.6', '10.96.0.12', 53, '10.244.0.10')}`, 1],
])('%s', (_name, text, count) => {
  expect(staleFlows(parseFlows(`${text}\nconntrack v1.4.7: 1 flow entries\n`), [dns], 'udp')).toHaveLength(count);
});
test('IPv6', () => {
  const of = (backend: string) =>
    staleFlows(parseFlows(line(backend, 'fd00:96::12')), [service(['fd00:96::12'], 'fd00::5')], 'udp');
  expect(of('fd00::5')).toEqual([]);
  expect(of('fd00::6')).toEqual([{ to: 'fd00:96::12', toPort: 53, backend: 'fd00::6', backendPort: 5353 }]);
});
test('of another protocol', () => expect(staleFlows(parseFlows(line('10.244.0.6')), [dns], 'tcp')).toEqual([]));
