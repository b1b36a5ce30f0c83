import { describe, expect, test } from 'bun:test';
import { PintleError } from '#base';
import { parseStore, readStoreTls } from './store-address.ts';

const tls = '?ca=/p/ca.crt&cert=/p/c.crt&key=/p/c.key';

describe('--store', () => {
  test('what is taken', () => {
    expect(parseStore('sqlite')).toEqual({ type: 'sqlite' });
    expect(parseStore(`etcd://a.example:2379,10.0.0.2:2379,[fd00::1]:2379/prod${tls}`)).toEqual({
      type: 'etcd',
      endpoints: ['https://a.example:2379', 'https://10.0.0.2:2379', 'https://[fd00::1]:2379'],
      prefix: '/prod',
      tls: { ca: '/p/ca.crt', cert: '/p/c.crt', key: '/p/c.key' },
    });
    expect(parseStore('etcd://127.0.0.1:2379,localhost:2380?plaintext=1')).toEqual({
      type: 'etcd',
      endpoints: ['http://127.0.0.1:2379', 'http://localhost:2380'],
      prefix: undefined,
      tls: undefined,
    });
  });

  const refused: [string, string][] = [
    ['etcd://127.0.0.1:2379', 'needs a CA'],
    ['etcd://10.0.0.1:2379', 'needs a CA'],
    ['etcd://10.0.0.1:2379?plaintext=1', 'not on loopback'],
    ['etcd://127.0.0.1:1,10.0.0.1:2379?plaintext=1', 'not on loopback'],
    ['etcd://127.0.0.1.example:2379?plaintext=1', 'not on loopback'],
    [`etcd://127.0.0.1:2379${tls}&plaintext=1`, 'exclude each other'],
    ['etcd://h:1?ca=/a&cert=/b', 'needs a CA'],
    ['etcd://h:1?ca=a&cert=/b&key=/c', 'not absolute'],
    [`etcd://h${tls}`, 'not HOST:PORT'],
    [`etcd://u@h:1${tls}`, 'not HOST:PORT'],
    [`etcd://h:1${tls}&insecure=1`, 'no parameter'],
    ['postgres://x', 'neither'],
    ['', 'neither'],
  ];
  for (const [text, why] of refused)
    test(`${text || 'nothing'} is refused: ${why}`, () => {
      expect(() => parseStore(text)).toThrow(why);
      expect(() => parseStore(text)).toThrow(PintleError);
    });

  test('a certificate that cannot be read is named', () => {
    expect(() => readStoreTls({ ca: '/nowhere/ca', cert: '', key: '' })).toThrow('/nowhere/ca');
  });
});
