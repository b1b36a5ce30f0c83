import { expect, test } from 'bun:test';
import type { AnyObject } from '#sdk';
import { rejection } from '../../test/fixtures/rejection.ts';
import { conversionOf } from './conversion.ts';
import type { Definition } from './kind.ts';

const definition = {
  spec: {
    group: 'example.com',
    names: { kind: 'Foo', plural: 'foos' },
    conversion: {
      strategy: 'Webhook',
      webhook: { clientConfig: { url: 'https://x' }, conversionReviewVersions: ['v2', 'v1'] },
    },
  },
} as unknown as Definition;
const foo = (version: string, labels?: Record<string, string>): AnyObject =>
  ({
    apiVersion: `example.com/${version}`,
    kind: 'Foo',
    metadata: { name: 'a', uid: 'u', ...(labels && { labels }) },
  }) as AnyObject;
const converted = (response: unknown) =>
  conversionOf(
    definition,
    async () => ({ response }),
    () => 'q',
  )!.convert([foo('v2'), foo('v1')], 'example.com/v2');

test('only what is in another version is asked for; labels may change, the rest of the metadata may not', async () => {
  const asked: unknown[] = [];
  const conversion = conversionOf(
    definition,
    async (_target, body) => {
      asked.push(body);
      return {
        response: {
          uid: 'q',
          result: { status: 'Success' },
          convertedObjects: [{ ...foo('v2', { new: 'x' }), spec: 1 }],
        },
      };
    },
    () => 'q',
  )!;
  const result = await conversion.convert([foo('v2'), foo('v1')], 'example.com/v2');
  expect(asked).toEqual([
    {
      kind: 'ConversionReview',
      apiVersion: 'apiextensions.k8s.io/v1',
      request: { uid: 'q', desiredAPIVersion: 'example.com/v2', objects: [foo('v1')] },
    },
  ]);
  expect(result).toEqual([foo('v2'), { ...foo('v2', { new: 'x' }), spec: 1 }]);
});
test.each([
  [undefined, 'failed: no response provided'],
  [{ uid: 'x' }, 'failed: expected response.uid="q", got "x"'],
  [{ uid: 'q', result: { status: 'Failure', message: 'no' } }, 'failed: no'],
  [{ uid: 'q', result: { status: 'Success' }, convertedObjects: [] }, 'returned 0 objects, expected 1'],
  [
    { uid: 'q', result: { status: 'Success' }, convertedObjects: [foo('v3')] },
    'returned invalid converted object at index 0: invalid groupVersion (expected example.com/v2, received example.com/v3)',
  ],
])('what a webhook may not answer: %j', async (response, why) => {
  expect((await rejection(converted(response))).message).toMatch(
    `conversion webhook for example.com/v1, Kind=Foo ${why}`,
  );
});
