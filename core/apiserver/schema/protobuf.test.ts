import { expect, test } from 'bun:test';
import { decodeProtobuf, readEnvelope } from './protobuf.ts';

/** Length-delimited field; numbers are below 16 and lengths below 128, so that each is one byte. */
const field = (number: number, content: string | Uint8Array): Uint8Array => {
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
  return join(new Uint8Array([number * 8 + 2, bytes.length]), bytes);
};
const varint = (number: number, value: number): Uint8Array => new Uint8Array([number * 8, value]);
const join = (...parts: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));
const magic = new TextEncoder().encode('k8s\0');

test('an envelope names the kind and holds the object', () => {
  const raw = join(
    field(1, join(field(1, 'settings'), field(11, join(field(1, 'app'), field(2, 'w'))))),
    field(2, join(field(1, 'key'), field(2, 'value'))),
  );
  const envelope = readEnvelope(join(magic, field(1, join(field(1, 'v1'), field(2, 'ConfigMap'))), field(2, raw)));
  expect([envelope.apiVersion, envelope.kind]).toEqual(['v1', 'ConfigMap']);
  expect(decodeProtobuf('io.k8s.api.core.v1.ConfigMap', envelope.raw)).toEqual({
    metadata: { name: 'settings', labels: { app: 'w' } },
    data: { key: 'value' },
  });
});

test('embedded structs, quantities, numbers or names', () => {
  const port = join(varint(1, 1), field(3, 'web'));
  const probe = join(field(1, field(2, field(2, port))), varint(2, 3));
  const limits = field(1, join(field(1, 'cpu'), field(2, field(1, '250m'))));
  const container = join(field(1, 'c'), field(8, limits), field(10, probe));
  expect(decodeProtobuf('io.k8s.api.core.v1.Pod', field(2, field(2, container)))).toEqual({
    spec: {
      containers: [
        {
          name: 'c',
          resources: { limits: { cpu: '250m' } },
          livenessProbe: { httpGet: { port: 'web' }, initialDelaySeconds: 3 },
        },
      ],
    },
  });
});

const broken: [string, Uint8Array][] = [
  ['no magic number', new Uint8Array([1, 2, 3, 4])],
  ['too short', join(magic, new Uint8Array([0x12, 0x7f, 1]))],
  ['an endless number', join(magic, new Uint8Array([0x10, ...Array<number>(12).fill(0xff)]))],
];
test.each(broken)('%s is refused', (_, body) => {
  expect(() => readEnvelope(body)).toThrow('the protobuf body cannot be read');
});
