// Definitions of other projects on our API server: accepted with their rules, served, explained by stock kubectl.
import { describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Scope } from '#base';
import { schemas } from '#sdk';
import { customServer, definitionsPath, establish, type Json } from '../fixtures/custom-resources.ts';
import { realDefinitions } from '../fixtures/real-definitions.ts';
import { run } from '../fixtures/run.ts';
import { skipped } from '../fixtures/skipped.ts';

const projects = await realDefinitions();
if (typeof projects === 'string') console.log(`skipped: definitions of other projects: ${projects}`);
const kubectl = Bun.which('kubectl');
if (!kubectl) skipped('e2e', 'kubectl explain of other projects’ definitions', 'kubectl is not on PATH');

const names = (definition: Json) => {
  const { group, names, versions, scope } = definition['spec'] as {
    group: string;
    names: { plural: string; kind: string };
    versions: { name: string; served: boolean; storage: boolean }[];
    scope: string;
  };
  return { group, ...names, versions, scope };
};

describe.skipIf(typeof projects === 'string')('definitions of other projects', () => {
  for (const { project, definitions } of typeof projects === 'string' ? [] : projects)
    test(`${project}: ${definitions.length} accepted, served and explained`, async () => {
      await using scope = new Scope();
      const server = await customServer(scope);
      const { send } = server;
      for (const definition of definitions) await establish(send, definition);
      const http = Bun.serve({
        port: 0,
        hostname: '127.0.0.1',
        idleTimeout: 0,
        fetch: (request) => server.fetch(request),
      });
      scope.defer(() => http.stop(true));
      for (const definition of definitions) {
        const { group, plural, kind, versions } = names(definition);
        for (const { name } of versions.filter(({ served }) => served)) {
          const list = await send('GET', `/apis/${group}/${name}/${plural}`);
          expect([plural, list.code, list.body['kind']]).toEqual([plural, 200, `${kind}List`]);
          if (!kubectl) continue;
          const words = ['explain', `${plural}.spec`, `--api-version=${group}/${name}`];
          const explained = await run([kubectl, `--server=http://127.0.0.1:${http.port}`, ...words], 60_000);
          expect(explained).toContain(`KIND:       ${kind}`);
          expect(explained).toContain('FIELDS:');
        }
      }
      const { body } = await send('GET', definitionsPath);
      expect(body['items']).toHaveLength(definitions.length);
    }, 240_000);

  test('TypeScript types made from them are right under --strict', async () => {
    await using scope = new Scope();
    const folder = mkdtempSync(join(tmpdir(), 'pintle-types-'));
    scope.defer(() => rmSync(folder, { recursive: true }));
    const all = (projects as Exclude<typeof projects, string>).flatMap(({ definitions }) => definitions);
    writeFileSync(join(folder, 'meta.ts'), 'export interface ObjectMeta { name?: string }\n');
    for (const [index, definition] of all.entries())
      writeFileSync(
        join(folder, `of${index}.ts`),
        schemas.typesOf(definition as unknown as schemas.DefinitionText, { from: './meta.ts' }),
      );
    const tsc = join(import.meta.dir, '../../node_modules/typescript/bin/tsc');
    const words = [
      '--noEmit',
      '--strict',
      '--allowImportingTsExtensions',
      '--module',
      'esnext',
      '--moduleResolution',
      'bundler',
    ];
    const files = all.map((_definition, index) => join(folder, `of${index}.ts`));
    expect(await run([process.execPath, tsc, ...words, ...files], 120_000)).toBe('');
  }, 150_000);

  test('the rules of Gateway API hold', async () => {
    await using scope = new Scope();
    const { send } = await customServer(scope);
    const all = (projects as Exclude<typeof projects, string>).flatMap(({ definitions }) => definitions);
    const of = (name: string) => all.find(({ metadata }) => (metadata as { name: string }).name === name)!;
    await establish(send, of('httproutes.gateway.networking.k8s.io'));
    await establish(send, of('gateways.gateway.networking.k8s.io'));
    const route = (rules: Json[]) => ({
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'HTTPRoute',
      metadata: { name: 'r' },
      spec: { parentRefs: [{ name: 'g' }], rules },
    });
    const routes = '/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes';
    const rewrite = { type: 'URLRewrite', urlRewrite: { hostname: 'a.example' } };
    const redirect = { type: 'RequestRedirect', requestRedirect: { hostname: 'a.example' } };
    const backends = [{ name: 's', port: 80 }];
    const made = await send('POST', routes, route([{ filters: [rewrite], backendRefs: backends }]));
    expect(made.body['message']).toBeUndefined();
    const wrong = await send('POST', `${routes}?dryRun=All`, {
      ...route([{ filters: [rewrite, redirect], backendRefs: backends }]),
      metadata: { name: 'w' },
    });
    expect(wrong.body['message']).toBe(
      'HTTPRoute.gateway.networking.k8s.io "w" is invalid: [spec.rules[0]: Invalid value: RequestRedirect filter must not be used together with backendRefs, ' +
        'spec.rules[0].filters: Invalid value: May specify either httpRouteFilterRequestRedirect or httpRouteFilterRequestRewrite, but not both]',
    );
    const gateway = await send('POST', '/apis/gateway.networking.k8s.io/v1/namespaces/default/gateways', {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'Gateway',
      metadata: { name: 'g' },
      spec: {
        gatewayClassName: 'c',
        listeners: [
          { name: 'a', port: 80, protocol: 'HTTP' },
          { name: 'b', port: 80, protocol: 'HTTP' },
        ],
      },
    });
    expect(gateway.body['message']).toBe(
      'Gateway.gateway.networking.k8s.io "g" is invalid: spec.listeners: Invalid value: Combination of port, protocol and hostname must be unique for each listener',
    );
  }, 60_000);
});
