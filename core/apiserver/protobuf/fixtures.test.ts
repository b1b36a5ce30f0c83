import { expect, test } from 'bun:test';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { decodeProtobuf } from './decode.ts';
import { ProtobufEncoder } from './encode.ts';
import { envelope } from './envelope.ts';
import table from './gen/table.json';

/** Upstream's published fixtures: every kind with every field set, as JSON and as protobuf. */
const folder = join(process.env['GOMODCACHE'] ?? join(homedir(), 'go/pkg/mod'), 'k8s.io/api@v0.37.1/testdata/HEAD');
const encoder = new ProtobufEncoder(table);
const names = existsSync(folder)
  ? readdirSync(folder)
      .filter((name) => name.endsWith('.pb') && !name.includes('after_roundtrip'))
      .map((name) => name.slice(0, -3))
  : [];
if (names.length === 0) console.log('skipped: upstream’s protobuf fixtures are not on this machine');
const known = names.filter((name) => {
  const { apiVersion = '', kind } = json(name);
  return encoder.structId(apiVersion, kind) !== undefined;
});

function json(name: string): { apiVersion: string; kind: string } {
  return JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8')) as { apiVersion: string; kind: string };
}

test.skipIf(names.length === 0)('every kind of the served groups has a form', () => {
  expect(known.length).toBeGreaterThan(80);
});
test.each(known.length ? known : ['none'])('%s is the same in both forms', (name) => {
  if (known.length === 0) return;
  const object = json(name);
  const bytes = new Uint8Array(readFileSync(join(folder, `${name}.pb`)));
  expect(decodeProtobuf(bytes, table)).toEqual(object as never);
  const id = encoder.structId(object.apiVersion, object.kind)!;
  const made = envelope(object.apiVersion, object.kind, encoder.message(id, object as never));
  expect(Buffer.compare(made, bytes)).toBe(0);
});
