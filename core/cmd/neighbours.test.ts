import { expect, test } from 'bun:test';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Config, Home } from './home.ts';
import { chooseAlone, neighbours, register, unregister } from './neighbours.ts';

test.skipIf(process.getuid?.() !== 0)('a stopped cluster is still a neighbour until it is removed', () => {
  const folder = mkdtempSync(join(tmpdir(), 'pintle-near-'));
  try {
    const registry = join(folder, 'registry/homes');
    const [home, own] = [new Home(join(folder, 'a')), new Home(join(folder, 'b'))];
    const config = { formatVersion: 1, clusterId: 'abcd1234', podCidr: '10.1.0.0/16' } as Config;
    home.write(config);
    register(home, config, registry);
    expect(neighbours(own, registry)).toContainEqual(config);
    expect(neighbours(home, registry)).not.toContainEqual(config);
    const entry = join(registry, config.clusterId);
    const text = readFileSync(entry, 'utf8');
    writeFileSync(entry, text.replace(/\n.*/, '\nnet:[1]')); // a host of a lab, in a namespace of its own
    expect(neighbours(own, registry)).not.toContainEqual(config);
    writeFileSync(entry, home.folder); // as an earlier version wrote it
    expect(neighbours(own, registry)).toContainEqual(config);
    rmSync(home.folder, { recursive: true });
    expect(neighbours(own, registry)).not.toContainEqual(config);
    expect(existsSync(join(registry, config.clusterId))).toBe(false);
    home.write(config);
    register(home, config, registry);
    unregister(config.clusterId, registry);
    expect(neighbours(own, registry)).not.toContainEqual(config);
    expect(existsSync(join(folder, 'registry'))).toBe(false);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('one chooses at a time', async () => {
  let inside = 0;
  let most = 0;
  const work = () =>
    chooseAlone(async () => {
      most = Math.max(most, ++inside);
      await Bun.sleep(1);
      inside--;
    });
  await Promise.all([work(), work(), work()]);
  expect(most).toBe(1);
});

test('a damaged configuration is read from its copy', () => {
  const folder = mkdtempSync(join(tmpdir(), 'pintle-near-'));
  try {
    const home = new Home(folder);
    home.write({ formatVersion: 1, clusterId: 'abcd1234' } as Config);
    home.writeFile('config.json', '{"formatVersion": 1, "clus');
    expect(home.read().clusterId).toBe('abcd1234');
    home.writeFile('data/config.copy.json', '');
    expect(() => home.read()).toThrow('neither');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
