import { afterAll, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PintleError } from '#base';
import { cniOf } from './first-start.ts';

const folder = mkdtempSync(join(tmpdir(), 'pintle-cni-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const refusal = (cni: string, runtime: 'docker' | 'process' = 'docker'): string => {
  try {
    cniOf({ cni }, { runtime });
    return 'none';
  } catch (error) {
    return error instanceof PintleError ? `${error.code}: ${error.message}` : String(error);
  }
};

test('--cni is looked at before anything is written: runtime, folder, configuration', () => {
  expect(cniOf({}, { runtime: 'process' })).toEqual({});
  expect(refusal(folder)).toContain('CNI_UNFIT: no CNI configuration in');
  writeFileSync(join(folder, '10-x.conflist'), '{"name":"n","cniVersion":"7.0.0","plugins":[{"type":"bridge"}]}');
  expect(refusal(folder)).toContain('CNI_UNFIT: 10-x.conflist wants CNI 7.0.0');
  writeFileSync(join(folder, '00-y.conflist'), '{"name":"n","cniVersion":"1.0.0","plugins":[{"type":"bridge"}]}');
  expect(cniOf({ cni: folder }, { runtime: 'docker' })).toEqual({ cni: folder });
  expect(refusal(folder, 'process')).toContain('CNI_UNFIT: --cni needs root');
});
