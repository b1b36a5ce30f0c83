import { describe, expect, test } from 'bun:test';
import { PintleError } from '#base';
import { firstAddress, loopbackListeners, nthAddress, pickRanges, spanOf } from './ranges.ts';

const nothing = { cidrs: [], nodePorts: [] };
const codeOf = (work: () => unknown): string => {
  try {
    work();
    return 'none';
  } catch (error) {
    return error instanceof PintleError ? error.code : String(error);
  }
};

describe('pickRanges', () => {
  test('an empty host gets the usual ranges', () => {
    expect(pickRanges({}, nothing, false)).toEqual({
      podCidr: '10.244.0.0/16',
      serviceCidr: '10.96.0.0/16',
      nodePorts: '30000-32767',
    });
  });
  test('a second cluster gets others', () => {
    const first = pickRanges({}, nothing, false);
    const second = pickRanges({}, { cidrs: [first.podCidr, first.serviceCidr], nodePorts: [first.nodePorts] }, false);
    expect(second).toEqual({ podCidr: '10.243.0.0/16', serviceCidr: '10.95.0.0/16', nodePorts: '27000-29767' });
  });
  test('a host route over all of 10.0.0.0/8 leaves no candidate', () => {
    expect(codeOf(() => pickRanges({}, { cidrs: ['10.0.0.0/8'], nodePorts: [] }, false))).toBe('NO_FREE_RANGE');
  });
  test('without root all addresses are loopback ones', () => {
    expect(pickRanges({}, nothing, true).podCidr).toBe('127.244.0.0/16');
  });
  test('a second range is IPv6, and written as everybody writes it', () => {
    const both = pickRanges({ podCidr: '10.7.1.0/16,FD44:0:0::1/48' }, nothing, false);
    expect(both).toMatchObject({ podCidr: '10.7.0.0/16', podCidr6: 'fd44::/48' });
    for (const podCidr of [
      'fd44::/48,10.7.0.0/16',
      '10.7.0.0/16,10.8.0.0/16',
      '10.7.0.0/16,fd44::/120',
      '10.7.0.0/16,x',
    ])
      expect(codeOf(() => pickRanges({ podCidr }, nothing, false))).toBe('BAD_RANGE');
    expect(codeOf(() => pickRanges({ podCidr: '127.7.0.0/16,fd44::/48' }, nothing, true))).toBe('BAD_RANGE');
  });
  test('services of both families, in either order, or of IPv6 alone', () => {
    const podCidr = '10.7.0.0/16,fd44::/48';
    const [four, six] = ['10.8.0.0/16', 'fd96::/112'];
    const chosen = (serviceCidr: string) => pickRanges({ podCidr, serviceCidr }, nothing, false).serviceCidr;
    expect(chosen(`${four},${six}`)).toBe(`${four},${six}`);
    expect(chosen(`${six},10.8.3.0/16`)).toBe(`${six},${four}`);
    expect(chosen('fd96::7/112')).toBe(six);
    for (const bad of [`${four},10.9.0.0/16`, `${six},fd97::/112`, `${four},fd96::/48`, `${four},fd44::/112`])
      expect(codeOf(() => chosen(bad))).toBe('BAD_RANGE');
    expect(codeOf(() => pickRanges({ serviceCidr: `${four},${six}` }, nothing, false))).toBe('BAD_RANGE');
    expect([firstAddress(four), firstAddress(six)]).toEqual(['10.8.0.1', 'fd96::1']);
  });
  const mistakes: [string, Parameters<typeof pickRanges>[0], string][] = [
    ['no range', { podCidr: 'ten' }, 'BAD_RANGE'],
    ['too small', { serviceCidr: '10.0.0.0/30' }, 'BAD_RANGE'],
    ['octet above 255', { podCidr: '10.300.0.0/16' }, 'BAD_RANGE'],
    ['overlap of both', { podCidr: '10.9.0.0/16', serviceCidr: '10.9.1.0/24' }, 'BAD_RANGE'],
    ['taken by the host', { podCidr: '192.168.0.0/24' }, 'RANGE_TAKEN'],
    ['node ports reversed', { nodePorts: '32000-31000' }, 'BAD_RANGE'],
    ['node ports not numbers', { nodePorts: 'a-b' }, 'BAD_RANGE'],
  ];
  for (const [name, wanted, code] of mistakes)
    test(`refused: ${name}`, () =>
      expect(codeOf(() => pickRanges(wanted, { cidrs: ['192.168.0.0/16'], nodePorts: [] }, false))).toBe(code));
});

test('spanOf and nthAddress', () => {
  expect(spanOf('10.1.2.3/24')).toEqual(spanOf('10.1.2.0/24'));
  expect(spanOf('10.1.2.3/33')).toBeUndefined();
  expect(nthAddress('10.96.0.0/16', 1)).toBe('10.96.0.1');
  expect(nthAddress('10.244.0.0/16', 257)).toBe('10.244.1.1');
});

test('without root: ranges in pairs, from a place of the cluster’s own, none that somebody listens in', () => {
  const none = { cidrs: [], nodePorts: [] };
  expect(pickRanges({}, none, true, 0)).toMatchObject({ podCidr: '127.244.0.0/16', serviceCidr: '127.96.0.0/16' });
  expect(pickRanges({}, none, true, 63)).toMatchObject({ podCidr: '127.241.0.0/16', serviceCidr: '127.93.0.0/16' });
  const busy = { cidrs: ['127.96.0.1/32', '127.243.9.9/32'], nodePorts: [] };
  expect(pickRanges({}, busy, true, 0)).toMatchObject({ podCidr: '127.242.0.0/16', serviceCidr: '127.94.0.0/16' });
  expect(pickRanges({ podCidr: '127.5.0.0/16' }, busy, true, 0).serviceCidr).toBe('127.95.0.0/16');
  expect(pickRanges({ serviceCidr: '127.5.0.0/16' }, none, true, 0).podCidr).toBe('127.244.0.0/16');
});

test('listeners on loopback addresses, as the kernel tells them', () => {
  const text = `  sl  local_address rem_address   st tx_queue rx_queue
   0: 0100607F:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000 61234
   1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0
   2: 0200F47F:9C40 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0
   3: 0300F37F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0
   4: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0`;
  expect(loopbackListeners(text)).toEqual(['127.96.0.1/32', '127.243.0.3/32']);
});
