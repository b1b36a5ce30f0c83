// Where plugins come from: archives, an npm registry and an OCI registry, all of this test's own, on loopback.
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseReference } from '../core/cmd/oci.ts';
import { buildPlugin } from '../core/cmd/plugin-build.ts';
import { bundleFrom } from '../core/cmd/plugin-sources.ts';
import { tarFiles } from '../core/cmd/tar.ts';
import type { Bundle } from '../core/host/bundle.ts';
import { rejection } from './fixtures/rejection.ts';

let place: string;
let bundle: Bundle;
beforeAll(async () => {
  place = mkdtempSync(join(tmpdir(), 'pts-'));
  const source = join(place, 'source');
  mkdirSync(source);
  writeFileSync(
    join(source, 'plugin.ts'),
    'import { plugin } from "pintle/sdk"; export default plugin({ name: "far", version: "1.0.0", sdk: "^1.0", setup() {} });',
  );
  bundle = await buildPlugin(source);
});
afterAll(() => rmSync(place, { recursive: true, force: true }));
const work = () => mkdtempSync(join(place, 'work-'));

type Member = { path: string; content?: string | Uint8Array; type?: string; link?: string };
/** A ustar archive. */
function tar(...members: readonly Member[]): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const { path, content = '', type = '0', link = '' } of members) {
    const body = Buffer.from(content);
    const header = Buffer.alloc(512);
    header.write(path, 0);
    header.write('0000644\0', 100);
    header.write(body.length.toString(8).padStart(11, '0'), 124);
    header.write(type, 156);
    header.write(link, 157);
    header.write('ustar\x0000', 257);
    header.write('        ', 148);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    parts.push(header, body, Buffer.alloc((512 - (body.length % 512)) % 512));
  }
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}
const built = (path: string): Uint8Array => readFileSync(join(bundle.folder, path));
const members = (below = ''): Member[] =>
  ['plugin.json', 'plugin.js'].map((path) => ({ path: below + path, content: built(path) }));
const gzip = (bytes: Uint8Array) => Bun.gzipSync(bytes as Uint8Array<ArrayBuffer>);
const hex = (name: string, bytes: Uint8Array, form: 'hex' | 'base64' = 'hex') =>
  createHash(name).update(bytes).digest(form);
function archive(name: string, bytes: Uint8Array): string {
  const file = join(place, name);
  writeFileSync(file, bytes);
  return file;
}

test('a tarball, plain or zipped, of the folder or as npm packs it, is the bundle that was built', async () => {
  for (const bytes of [tar(...members()), gzip(tar(...members('./'))), gzip(tar(...members('package/')))])
    expect((await bundleFrom(archive('good.tgz', bytes), work())).digest).toBe(bundle.digest);
});

test.each<[string, Member[], string]>([
  ['a path that leads out', [{ path: '../evil' }], 'leads out of it'],
  ['a path that leads out further down', [{ path: 'a/../../evil' }], 'leads out of it'],
  ['an absolute path', [{ path: '/etc/evil' }], 'holds the name'],
  ['a symbolic link', [{ path: 'plugin.js', type: '2', link: '/etc/passwd' }], 'no plain file'],
  ['a hard link', [{ path: 'plugin.js', type: '1', link: '/etc/passwd' }], 'no plain file'],
  ['a device', [{ path: 'plugin.js', type: '3' }], 'no plain file'],
  ['a file twice', [{ path: 'plugin.js' }, { path: './plugin.js' }], 'twice'],
])('an archive with %s is refused, and nothing of it is unpacked', async (_what, evil, message) => {
  const place = work();
  const error = await rejection(bundleFrom(archive('evil.tgz', gzip(tar(...evil, ...members('x/')))), place));
  expect(error).toMatchObject({ code: 'BUNDLE_INVALID', message: expect.stringContaining(message) });
  expect(existsSync(join(place, 'unpacked'))).toBe(false);
});

test('a bomb of zeros, an archive that is cut, one that is none', async () => {
  const bomb = archive('bomb.tgz', gzip(new Uint8Array(80 * 1024 * 1024)));
  expect(await rejection(bundleFrom(bomb, work()))).toMatchObject({ code: 'BUNDLE_INVALID' });
  expect(() => tarFiles(tar(...members()).subarray(0, 900))).toThrow('cut short');
  const none = archive('none.tgz', new Uint8Array([0x1f, 0x8b, 1, 2, 3]));
  expect(await rejection(bundleFrom(none, work()))).toMatchObject({ code: 'PLUGIN_SOURCE' });
});

test('what was changed after it was built, and another bundle than the pinned one', async () => {
  const [manifest] = members();
  const changed = archive('changed.tgz', tar(manifest!, { path: 'plugin.js', content: '// evil' }));
  expect(await rejection(bundleFrom(changed, work()))).toMatchObject({ code: 'BUNDLE_MODIFIED' });
  const good = archive('good.tgz', tar(...members()));
  expect((await bundleFrom(good, work(), bundle.digest)).digest).toBe(bundle.digest);
  const pinned = await rejection(bundleFrom(good, work(), `sha256:${'0'.repeat(64)}`));
  expect(pinned).toMatchObject({ code: 'BUNDLE_MODIFIED' });
});

test('an npm package from the configured registry, without running its scripts', async () => {
  const trace = join(place, 'script-ran');
  const scripts = { preinstall: `touch ${trace}`, install: `touch ${trace}`, postinstall: `touch ${trace}` };
  const about = JSON.stringify({ name: '@team/far', version: '1.0.0', scripts });
  const tarball = gzip(tar({ path: 'package/package.json', content: about }, ...members('package/dist/')));
  const asked: string[] = [];
  using server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch({ url, headers }) {
      const { pathname, origin } = new URL(url);
      asked.push(`${pathname} ${headers.get('authorization') ?? ''}`.trim());
      if (pathname.endsWith('.tgz')) return new Response(tarball);
      if (decodeURIComponent(pathname) !== '/@team/far') return new Response('{}', { status: 404 });
      const dist = {
        tarball: `${origin}/far.tgz`,
        integrity: `sha512-${hex('sha512', tarball, 'base64')}`,
        shasum: hex('sha1', tarball),
      };
      const versions = { '1.0.0': { name: '@team/far', version: '1.0.0', scripts, hasInstallScript: true, dist } };
      return Response.json({ name: '@team/far', 'dist-tags': { latest: '1.0.0' }, versions });
    },
  });
  const config = work();
  const host = `127.0.0.1:${server.port}`;
  writeFileSync(join(config, '.npmrc'), `@team:registry=http://${host}/\n//${host}/:_authToken=secret\n`);
  const found = await bundleFrom('npm:@team/far@1.0.0', work(), undefined, config);
  expect(found.digest).toBe(bundle.digest);
  expect(existsSync(trace)).toBe(false);
  expect(asked).toContain('/far.tgz Bearer secret');
  const absent = await rejection(bundleFrom('npm:@team/absent', work(), undefined, config));
  expect(absent).toMatchObject({ code: 'PLUGIN_SOURCE' });
  const strange = await rejection(bundleFrom('npm:--registry=http://evil', work(), undefined, config));
  expect(strange).toMatchObject({ code: 'PLUGIN_SOURCE' });
}, 60_000);

/** A registry as the distribution API has it, that may lie. */
function registry(lie: { manifest?: boolean; layer?: boolean } = {}) {
  const layer = gzip(tar(...members()));
  const digest = `sha256:${hex('sha256', layer)}`;
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    layers: [{ mediaType: 'application/vnd.pintle.plugin.v1.tar+gzip', digest, size: layer.length }],
  });
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch(request) {
      const { pathname, origin, search } = new URL(request.url);
      if (pathname === '/token') return Response.json({ token: `for${search}` });
      if (!request.headers.get('authorization')?.includes(encodeURIComponent('repository:team/far:pull')))
        return new Response('', {
          status: 401,
          headers: {
            'www-authenticate': `Bearer realm="${origin}/token",service="test",scope="repository:team/far:pull"`,
          },
        });
      if (pathname.startsWith('/v2/team/far/manifests/')) return new Response(lie.manifest ? `${manifest} ` : manifest);
      if (pathname === `/v2/team/far/blobs/${digest}`)
        return new Response(lie.layer ? gzip(tar(...members(), { path: 'more', content: 'x' })) : layer);
      return new Response('', { status: 404 });
    },
  });
  const at = `oci:127.0.0.1:${server.port}/team/far`;
  return {
    [Symbol.dispose]: () => void server.stop(true),
    at,
    digest: `sha256:${hex('sha256', Buffer.from(manifest))}`,
  };
}

test('an OCI artifact by tag and by digest, with a token for the public', async () => {
  // The scope arrives encoded; the token carries it back.
  using there = registry();
  for (const reference of [`${there.at}:1.0.0`, `${there.at}@${there.digest}`, `${there.at}:1.0.0@${there.digest}`]) {
    const found = await bundleFrom(reference, work()).catch((error: Error) => error);
    expect(found).toMatchObject({ digest: bundle.digest });
  }
  expect(await rejection(bundleFrom(`${there.at.replace('far', 'absent')}:1`, work()))).toMatchObject({
    code: 'PLUGIN_SOURCE',
  });
});

test.each<[string, Parameters<typeof registry>[0]]>([
  ['manifest', { manifest: true }],
  ['layer', { layer: true }],
])('a registry that sends another %s is caught', async (_what, lie) => {
  using there = registry(lie);
  const error = await rejection(bundleFrom(`${there.at}@${there.digest}`, work()));
  expect(error).toMatchObject({ code: 'BUNDLE_MODIFIED' });
});

test.each([
  ['ghost.example.com/team/cron:1.2.0', { host: 'ghost.example.com', repository: 'team/cron', reference: '1.2.0' }],
  ['localhost:5000/cron', { host: 'localhost:5000', repository: 'cron', reference: 'latest' }],
])('the reference %s', (text, parts) => expect(parseReference(text)).toMatchObject(parts));
test.each(['cron', 'host/../x', 'host/A', 'host/a@sha256:12', 'user:pw@host/a'])('%s is no reference', (text) =>
  expect(() => parseReference(text)).toThrow('is no reference'),
);
