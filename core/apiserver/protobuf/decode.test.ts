import { expect, test } from 'bun:test';
import { decodeProtobuf } from './decode.ts';
import table from './gen/table.json';

const bytes = (text: string) => [...Buffer.from(text)];
const field = (number: number, body: number[]) => [(number << 3) | 2, body.length, ...body];
const varint = (number: number, value: number) => [number << 3, value];
const envelope = (kind: string, raw: number[]) =>
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

test.each([
  ['no envelope', Uint8Array.from([1, 2, 3])],
  ['cut short', envelope('ConfigMap', [...field(1, bytes('abc'))]).slice(0, 20)],
  ['a kind without a form', envelope('Nothing', [])],
])('%s is 400', (_name, body) => {
  expect(() => decodeProtobuf(body, table)).toThrow();
});
