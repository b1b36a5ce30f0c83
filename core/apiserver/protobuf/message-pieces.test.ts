import { expect, test } from 'bun:test';
import { envelope } from './envelope.ts';
import { MessagePieces } from './message-pieces.ts';

test.each([1, 7, 100, 4096])('pieces of at most %d bytes are the list in its envelope', (bytesMax) => {
  const items = [0, 5, 127, 128, 300].map((length, index) => new Uint8Array(length).fill(index + 1));
  const list = new MessagePieces('v1', 'PodList', Uint8Array.from([9, 9]), items);
  const parts = [Uint8Array.from([0x0a, 2, 9, 9])];
  for (const item of items)
    parts.push(
      Uint8Array.from(item.length < 128 ? [0x12, item.length] : [0x12, (item.length % 128) | 128, item.length >> 7]),
      item,
    );
  const expected: Uint8Array = envelope('v1', 'PodList', Buffer.concat(parts));
  expect(new Uint8Array(list.whole())).toEqual(new Uint8Array(expected));
  const copies: Buffer[] = [];
  for (const piece of list.pieces(bytesMax)) copies.push(Buffer.from(piece)); // they share a buffer
  expect(copies.every((piece) => piece.length > 0 && piece.length <= bytesMax)).toBe(true);
  expect(new Uint8Array(Buffer.concat(copies))).toEqual(new Uint8Array(expected));
  expect(list.totalBytes).toBe(expected.length);
});
