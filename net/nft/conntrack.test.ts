import { expect, test } from 'bun:test';
import { parseFlows, staleFlows } from './conntrack.ts';

const line = (backend: string, to = '10.96.0.12', port = 53) =>
  `udp      17 29 src=10.244.0.9 dst=${to} sport=5000 dport=${port} src=${backend} dst=10.244.0.9 sport=5353 dport=5000 [ASSURED] mark=0 use=1`;
const route = {
  id: 'dns',
  protocol: 'udp' as const,
  virtual: { ip: '10.96.0.12', port: 53 },
  nodePort: 30053,
  backends: [{ ip: '10.244.0.5', port: 5353, local: true }],
};

test.each([
  ['answered by a backend of now', line('10.244.0.5'), 0],
  ['answered by one that went', line('10.244.0.6'), 1],
  ['never translated', line('10.96.0.12'), 1],
  ['somebody else', line('10.244.0.6', '198.51.100.1'), 0],
  ['node port, stale', line('10.244.0.6', '192.0.2.1', 30053), 1],
  ['same number elsewhere', line('198.51.100.1', '198.51.100.1', 30053), 0],
])('%s', (_name, text, count) => {
  expect(staleFlows(parseFlows(`${text}\nconntrack v1.4.7: 1 flow entries\n`), [route])).toHaveLength(count);
});
