import { expect, test } from 'bun:test';
import { decodeChannelMessage, encodeChannelMessage, negotiateChannels, parseResize } from './websocket-channels.ts';

test.each([
  [null, ''],
  ['v5.channel.k8s.io', 'v5.channel.k8s.io'],
  ['v4.channel.k8s.io, v5.channel.k8s.io', 'v4.channel.k8s.io'],
  ['other,v4.base64.channel.k8s.io', 'v4.base64.channel.k8s.io'],
  ['other', undefined],
])('%p is answered with %p', (header, name) => {
  expect(negotiateChannels(header)?.name).toBe(name);
});

const v5 = negotiateChannels('v5.channel.k8s.io')!;
const v4 = negotiateChannels('v4.channel.k8s.io')!;
const base64 = negotiateChannels('v4.base64.channel.k8s.io')!;
test('messages in and out', () => {
  const data = Uint8Array.from([104, 105]);
  for (const protocol of [v4, v5, base64]) {
    const message = encodeChannelMessage(protocol, 1, data);
    const back = decodeChannelMessage(protocol, message);
    expect(back).toMatchObject({ type: 'data', channel: 1 });
    expect(back?.type === 'data' && [...back.bytes]).toEqual([104, 105]);
  }
  expect(encodeChannelMessage(base64, 0, data)).toBe('0aGk=');
  expect(decodeChannelMessage(v5, Uint8Array.from([255, 0]))).toEqual({ type: 'close', channel: 0 });
  expect(decodeChannelMessage(v5, Uint8Array.from([255, 0, 1]))).toBeUndefined();
  expect(decodeChannelMessage(v4, Uint8Array.from([255, 0]))).toMatchObject({ type: 'data', channel: 255 });
  expect(decodeChannelMessage(v5, new Uint8Array(0))).toBeUndefined();
  expect(decodeChannelMessage(base64, 'x')).toBeUndefined();
});

test.each([
  ['{"Width":80,"Height":24}', { columns: 80, rows: 24 }],
  ['{"Width":0,"Height":24}', undefined],
  ['{"Width":"80","Height":24}', undefined],
  ['nonsense', undefined],
  ['null', undefined],
])('resize %s', (text, size) => {
  expect(parseResize(Buffer.from(text))).toEqual(size);
});
