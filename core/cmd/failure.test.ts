import { afterEach, beforeEach, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { forgetFailure, noteFailure, throwIfBroken } from './failure.ts';
import { type Home, openHome } from './home.ts';

let home: Home;
beforeEach(() => {
  home = openHome(mkdtempSync(join(tmpdir(), 'failure-')));
  mkdirSync(home.path('run'));
  const components = [{ name: 'node', restarts: 22, since: '' }]; // as an `up` that failed leaves it
  writeFileSync(home.path('run', 'state.json'), JSON.stringify({ supervisor: {}, components }));
});
afterEach(() => rmSync(home.folder, { recursive: true }));

test('a component that tried several times says why; once forgotten, an old count of restarts accuses nobody', () => {
  noteFailure(home, 'node', new Error('port 10250 is taken'));
  expect(() => throwIfBroken(home)).toThrow('the node does not start: port 10250 is taken');
  forgetFailure(home, 'node');
  throwIfBroken(home);
});
