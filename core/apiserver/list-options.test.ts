import { expect, test } from 'bun:test';
import type { StatusError } from '#api';
import { checkedVersion, listOptionsOf } from './list-options.ts';

const refusal = (query: string, watch = false): [number, string] => {
  try {
    checkedVersion(listOptionsOf(new URLSearchParams(query), watch).resourceVersion);
    return [200, ''];
  } catch (error) {
    return [
      (error as StatusError).code,
      (error as Error).message.replace('ListOptions.meta.k8s.io "" is invalid: ', ''),
    ];
  }
};
const match = 'resourceVersionMatch';

// What upstream answers was asked of upstream (test/differential/requests/reads.ts).
test.each([
  ['', 200, ''],
  ['limit=x', 400, 'strconv.ParseInt: parsing "x": invalid syntax'],
  ['limit=99999999999999999999', 400, 'strconv.ParseInt: parsing "99999999999999999999": value out of range'],
  [
    'resourceVersion=x',
    400,
    'invalid resource version: resourceVersion: Invalid value: "x": strconv.ParseUint: parsing "x": invalid syntax',
  ],
  ['resourceVersion=007', 200, ''],
  [`${match}=Exact`, 422, `${match}: Forbidden: ${match} is forbidden unless resourceVersion is provided`],
  [
    `${match}=Exact&resourceVersion=0`,
    422,
    `${match}: Forbidden: ${match} "exact" is forbidden for resourceVersion "0"`,
  ],
  [
    `${match}=Odd&resourceVersion=1`,
    422,
    `${match}: Unsupported value: "Odd": supported values: "Exact", "NotOlderThan", ""`,
  ],
  ['sendInitialEvents=true', 422, 'sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list'],
  [`${match}=NotOlderThan&resourceVersion=1`, 200, ''],
])('list %p: %p %s', (query, code, message) => {
  expect(refusal(query)).toEqual([code, message]);
});

test.each([
  [`sendInitialEvents=true&${match}=NotOlderThan`, 200, ''],
  ['sendInitialEvents=false', 422, `${match}: Forbidden: sendInitialEvents requires setting ${match} to NotOlderThan`],
  [
    `${match}=NotOlderThan`,
    422,
    `${match}: Forbidden: ${match} is forbidden for watch unless sendInitialEvents is provided`,
  ],
  [
    `${match}=Exact`,
    422,
    `[${match}: Forbidden: ${match} is forbidden for watch unless sendInitialEvents is provided, ${match}: Unsupported value: "Exact": supported values: "NotOlderThan"]`,
  ],
])('watch %p: %p %s', (query, code, message) => {
  expect(refusal(query, true)).toEqual([code, message]);
});
