import { expect, test } from 'bun:test';
import { packagesMissing } from './test-tools.ts';

test('what is absent is named once, by the package that brings it, for the tiers that run', () => {
  const has = (program: string) => !['etcd', 'dig', 'nft', 'nsenter', 'fsfreeze'].includes(program);
  expect(packagesMissing(['unit', 'sim'], has)).toEqual([]);
  expect(packagesMissing(['integration'], has)).toEqual(['etcd-server', 'bind9-dnsutils']);
  expect(packagesMissing(['net', 'e2e'], has)).toEqual(['nftables', 'util-linux', 'etcd-server', 'bind9-dnsutils']);
  expect(packagesMissing(['net', 'e2e'], () => true)).toEqual([]);
});
