import { expect, test } from 'bun:test';
import { StatusError } from '#api';
import { seededRandom } from '#base';
import { decodeProtobuf } from './decode.ts';
import { ProtobufEncoder } from './encode.ts';
import { varintBytes } from './envelope.ts';
import table from './gen/table.json';

const bytes = (text: string) => [...Buffer.from(text)];
const field = (number: number, body: number[]) => [(number << 3) | 2, body.length, ...body];
const varint = (number: number, value: number) => [number << 3, value];
const envelope = (kind: string, raw: number[]): Uint8Array =>
  Uint8Array.from([
    ...bytes('k8s\0'),
    ...field(1, [...field(1, bytes('v1')), ...field(2, bytes(kind))]),
    ...field(2, raw),
    ...field(3, []),
    ...field(4, []),
  ]);

test('a config map: maps, bytes, pointers kept, empty fields left out', () => {
  const metadata = [...field(1, bytes('a')), ...field(2, []), ...varint(7, 0), ...field(8, [])];
  const raw = [
    ...field(1, metadata),
    ...field(2, [...field(1, bytes('x')), ...field(2, bytes('1'))]),
    ...field(3, [...field(1, bytes('b')), ...field(2, [0xff])]),
    ...varint(4, 0),
  ];
  expect(decodeProtobuf(envelope('ConfigMap', raw), table)).toEqual({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'a' },
    data: { x: '1' },
    binaryData: { b: '/w==' },
    immutable: false,
  });
});

test('the verbs of a resource are a message of their own', () => {
  const verbs = [...field(1, bytes('get')), ...field(1, bytes('list'))];
  const resource = [
    ...field(1, bytes('pods')),
    ...varint(2, 1),
    ...field(3, bytes('Pod')),
    ...field(4, verbs),
    ...field(6, []),
  ];
  const raw = [...field(1, bytes('v1')), ...field(2, resource)];
  const object = {
    groupVersion: 'v1',
    resources: [{ name: 'pods', namespaced: true, kind: 'Pod', verbs: ['get', 'list'] }],
  };
  expect(decodeProtobuf(envelope('APIResourceList', raw), table)).toEqual({
    apiVersion: 'v1',
    kind: 'APIResourceList',
    ...object,
  } as never);
  const made = new ProtobufEncoder(table).message('meta/v1.APIResourceList', object);
  expect(Buffer.from(made).includes(Buffer.from(field(4, verbs)))).toBe(true);
});

test('an int-or-string port, an inlined volume source and a quantity', () => {
  const port = [...varint(3, 80), ...field(4, [...varint(1, 1), ...field(3, bytes('http'))])];
  expect(decodeProtobuf(envelope('Service', field(2, field(1, port))), table)).toMatchObject({
    spec: { ports: [{ port: 80, targetPort: 'http' }] },
  });
  const volume = [...field(1, bytes('v')), ...field(2, field(2, field(2, field(1, bytes('1Gi')))))];
  expect(decodeProtobuf(envelope('Pod', field(2, field(1, volume))), table)).toMatchObject({
    spec: { volumes: [{ name: 'v', emptyDir: { sizeLimit: '1Gi' } }] },
  });
});

test('damaged bytes are refused or read, never worse', () => {
  const random = seededRandom(7);
  const port = [...varint(3, 80), ...field(4, [...varint(1, 1), ...field(3, bytes('http'))])];
  const good = [
    envelope('Service', [...field(1, field(1, bytes('svc'))), ...field(2, field(1, port))]),
    envelope('Pod', field(2, field(2, [...field(1, bytes('c')), ...field(7, field(1, bytes('cpu')))]))),
    envelope('ConfigMap', field(2, [...field(1, bytes('x')), ...field(2, bytes('1'))])),
  ];
  for (let round = 0; round < 4_000; round++) {
    const body = Uint8Array.from(good[round % good.length]!);
    for (let hits = 0; hits < 3; hits++)
      body[4 + Math.floor(random.next() * (body.length - 4))] = Math.floor(random.next() * 256);
    try {
      decodeProtobuf(body.subarray(0, body.length - (round % 5)), table);
    } catch (error) {
      if (!(error instanceof StatusError) || error.code !== 400) throw error;
    }
  }
});

test('nesting has an end', () => {
  let inner: number[] = [];
  for (let depth = 0; depth < 3000; depth++) inner = [...[0x0a, ...varintBytes(inner.length)], ...inner];
  expect(() => decodeProtobuf(envelope('Pod', inner), table)).not.toThrow(RangeError);
});

test.each([
  ['no envelope', Uint8Array.from([1, 2, 3])],
  ['cut short', envelope('ConfigMap', [...field(1, bytes('abc'))]).slice(0, 20)],
  ['a kind without a form', envelope('Nothing', [])],
])('%s is 400', (_name, body) => {
  expect(() => decodeProtobuf(body, table)).toThrow();
});
