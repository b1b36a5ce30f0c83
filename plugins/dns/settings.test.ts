import { expect, test } from 'bun:test';
import { isIP } from 'node:net';
import { bytesOf, familyOf, plainAddress } from './address.ts';
import { corefileOf, filesOf } from './corefile.ts';
import { parseNameservers } from './node-servers.ts';
import { addressOfReverse } from './reverse-name.ts';
import { readSettings, serverOf, upstreamsFor } from './settings.ts';

const read = (data: Record<string, string>) => readSettings(data, 'cluster.local');

test('nothing said: the embedded server, the node’s servers, half a minute', () => {
  expect(read({})).toEqual({
    problems: [],
    settings: {
      driver: 'embedded',
      upstreams: [],
      stubDomains: new Map(),
      hosts: new Map(),
      hostNames: new Map(),
      cacheSecondsMax: 30,
      zoneFiles: new Map(),
      templates: [],
    },
  });
});

/** One entry that is left out, and a part of what is said about it. */
const mistakes: [data: Record<string, string>, problem: string][] = [
  [{ drivr: 'x' }, 'drivr is no setting'],
  [{ driver: 'bind' }, 'neither embedded nor coredns'],
  [{ cacheSeconds: '-1' }, 'cacheSeconds'],
  [{ cacheSeconds: '1e9' }, 'cacheSeconds'],
  [{ upstreamNameservers: '{' }, 'upstreamNameservers'],
  [{ upstreamNameservers: '["dns.example"]' }, 'is no address of a server'],
  [{ upstreamNameservers: '["1.1.1.1:0"]' }, 'is no address of a server'],
  [{ upstreamNameservers: '"1.1.1.1"' }, 'a list'],
  [{ stubDomains: '["a"]' }, 'an object'],
  [{ stubDomains: '{"cluster.local": ["1.1.1.1"]}' }, 'cluster’s own'],
  [{ stubDomains: '{"x.cluster.local": ["1.1.1.1"]}' }, 'cluster’s own'],
  [{ stubDomains: '{"a b {": ["1.1.1.1"]}' }, 'is no domain'],
  [{ stubDomains: '{"../../etc": ["1.1.1.1"]}' }, 'is no domain'],
  [{ stubDomains: '{"a.example": ["x"]}' }, 'a.example'],
  [{ hosts: 'nonsense a.example' }, 'cannot be used'],
  [{ hosts: '10.0.0.1 web.shop.svc.cluster.local' }, 'cannot be used'],
  [{ hosts: 'x'.repeat(300_000) }, 'longer than'],
  [{ zoneFiles: '{"a.example": "$INCLUDE /etc/shadow"}' }, '$INCLUDE'],
  [{ templates: '[{"zone":"a.example","type":"A","answer":"x\\" } evil {"}]' }, 'is none'],
  [{ templates: '[{"zone":"a.example","type":"A","answer":"{$HOME}"}]' }, 'is none'],
  [{ templates: '[{"zone":"a.example","type":"A","answer":"a\\nb"}]' }, 'is none'],
  [{ templates: '[null, 7]' }, 'is none'],
];
test.each(mistakes)('%j is left out and told', (data, problem) => {
  const { settings, problems } = read(data);
  expect(problems.join()).toContain(problem);
  expect(settings).toEqual(read({}).settings);
});

test('names go to the servers of the longest domain above them', () => {
  const { settings, problems } = read({
    upstreamNameservers: '["192.0.2.53", "[2001:db8::1]:5353"]',
    stubDomains: '{"Corp.Example.": ["10.0.0.1"], "lab.corp.example": ["10.0.0.2:54"]}',
  });
  expect(problems).toEqual([]);
  const to = (name: string) => upstreamsFor(name, settings).map(({ ip, port }) => `${ip} ${port}`);
  expect(to('www.corp.example')).toEqual(['10.0.0.1 53']);
  expect(to('a.lab.corp.example')).toEqual(['10.0.0.2 54']);
  expect(to('corp.example')).toEqual(['10.0.0.1 53']);
  expect(to('xcorp.example')).toEqual(['192.0.2.53 53', '2001:db8::1 5353']);
  expect(serverOf('2001:db8::1')).toEqual({ ip: '2001:db8::1', port: 53 });
});

test('servers of the node, without ourselves', () => {
  const text =
    '# nameserver 1.1.1.1\nnameserver 192.0.2.1\nnameserver 10.244.0.1\n nameserver fe80::1%eth0\nsearch lan\n';
  expect(parseNameservers(text, '10.244.0.1').map(({ ip }) => ip)).toEqual(['192.0.2.1', 'fe80::1']);
});

test('a Corefile of everything', () => {
  const { settings, problems } = read({
    driver: 'coredns',
    upstreamNameservers: '["192.0.2.53"]',
    stubDomains: '{"corp.example": ["10.0.0.1:54", "2001:db8::1"]}',
    hosts: '10.9.9.9 printer.lan\n',
    cacheSeconds: '60',
    zoneFiles: '{"static.example": "@ 60 IN SOA a b 1 1 1 1 1"}',
    templates:
      '[{"zone":"t.example","type":"A","match":"^p([0-9]+)\\\\.t\\\\.example\\\\.$","answer":"{{ .Name }} 60 IN A 192.0.2.{{ index .Match 1 }}"}]',
  });
  expect(problems).toEqual([]);
  const options = { settings, listen: { ip: '10.244.0.1', port: 53 }, kubeconfig: '/h/k', folder: '/h', ttlSeconds: 5 };
  expect(corefileOf(options)).toBe(`.:53 {
    bind 10.244.0.1
    errors
    prometheus 10.244.0.1:9153
    cache 60 {
        disable success cluster.local
        disable denial cluster.local
        serve_stale 1h
    }
    template IN A t.example {
        match "^p([0-9]+)\\.t\\.example\\.$"
        answer "{{ .Name }} 60 IN A 192.0.2.{{ index .Match 1 }}"
        fallthrough
    }
    hosts /h/hosts {
        ttl 30
        fallthrough
    }
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        kubeconfig /h/k
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 5
    }
    forward . 192.0.2.53:53
    loadbalance
}

static.example:53 {
    bind 10.244.0.1
    errors
    prometheus 10.244.0.1:9153
    file /h/zone.static.example
}

corp.example:53 {
    bind 10.244.0.1
    errors
    prometheus 10.244.0.1:9153
    cache 60 {
        serve_stale 1h
    }
    hosts /h/hosts {
        ttl 30
        fallthrough
    }
    forward . 10.0.0.1:54 [2001:db8::1]:53
}
`);
  expect([...filesOf(settings).keys()]).toEqual(['hosts', 'zone.static.example']);
});

test('names of addresses', () => {
  expect(addressOfReverse('4.3.2.1.in-addr.arpa')).toBe('1.2.3.4');
  expect(addressOfReverse('3.2.1.in-addr.arpa')).toBeUndefined();
  expect(addressOfReverse('x.3.2.1.in-addr.arpa')).toBeUndefined();
  expect(addressOfReverse(`7${'.0'.repeat(29)}.d.f.ip6.arpa`)).toBe('fd00::7');
  expect(addressOfReverse(`7${'.0'.repeat(20)}.ip6.arpa`)).toBeUndefined();
  expect(plainAddress('2001:0DB8:0000:0000:0001:0000:0000:0001')).toBe('2001:db8::1:0:0:1');
});

test('addresses are told from other texts as the system does it', () => {
  const texts = [
    '1.2.3.4',
    '01.2.3.4',
    '256.1.1.1',
    '1.2.3',
    '',
    '::',
    '::1',
    '1::',
    'fd00::7',
    '1:2:3:4:5:6:7:8',
    '1:2:3:4:5:6:7',
    '1::2::3',
    '1:2:3:4:5:6:7::',
    '1:2:3:4:5:6:7:8::',
    '::ffff:1.2.3.4',
    '1.2.3.4::',
    'g::1',
    '12345::',
    ':1',
    '1:',
  ];
  for (const text of texts) expect([text, familyOf(text)]).toEqual([text, isIP(text) as 0 | 4 | 6]);
  expect([...bytesOf('::ffff:1.2.3.4')!]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 1, 2, 3, 4]);
});
