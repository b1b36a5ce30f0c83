import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { programOnPath, programPath, spawnDuplex, systemClock, systemFiles, systemRandom } from '#base';
import type { Client, InformerFactory } from '#client';
import type { ApiPartContext, Metrics, UserInfo } from '#sdk';
import type { ApiServer } from '../../apiserver/contract.ts';
import type { DefinableSchema } from '../../apiserver/schema/schema.ts';
import { strategyKit } from '../../apiserver/strategies/kit.ts';
import { checkMetadata } from '../../apiserver/strategies/rules/metadata.ts';
import { createInformers } from '../../client/cache-informer.ts';
import { createClient } from '../../client/http.ts';
import type { AdmissionList } from '../../host/admission-list.ts';
import { type Part, startParts } from '../../host/builtin.ts';
import { PluginHost } from '../../host/host.ts';
import { apiParts, controllersParts, nodeParts } from '../../host/parts.ts';
import { startControllers } from '../../sdk/controller.ts';
import { connect } from '../connect.ts';
import type { RoleContext } from '../internal.ts';
import { noteParts } from '../plugin-reports.ts';
import { nthAddress } from '../ranges.ts';

/** A user of this process alone: its token is made at the start and never written down. */
export function ownIdentity(name: string): { readonly token: string; userOf(token: string): UserInfo | undefined } {
  const token = randomBytes(32).toString('base64url');
  const user = { name, groups: ['system:masters', 'system:authenticated'] };
  return { token, userOf: (given) => (given === token ? user : undefined) };
}

const metadataRules: ApiPartContext['checkMetadata'] = (object, current) => checkMetadata(object, current);

/** The host's own kind comes by the same door as everybody's. */
const ownKinds = { name: 'plugin-host', enabled: true, api: () => import('../../host/api-part.ts') };

/** Built-in plugins of the API server: before it listens, so that nobody meets it without their kinds. */
export function startApiParts(
  context: RoleContext,
  server: ApiServer,
  parts: { readonly schema: DefinableSchema; readonly hooks: AdmissionList; readonly token: string },
): Promise<void> {
  const client = createClient({
    fetch: (request) => server.fetch(request),
    baseUrl: 'http://localhost',
    token: parts.token,
    userAgent: 'pintle-apiserver',
  });
  const { kinds, reader, callWebhook } = server;
  const { schema, hooks } = parts;
  return run(
    context,
    'apiserver',
    apiParts(
      [ownKinds, ...context.catalog],
      { kinds, reader, callWebhook, schema, hooks, kit: strategyKit, checkMetadata: metadataRules },
      seamsOf(context, client),
    ),
  );
}

/** Plugin objects: what they say runs as processes of this one. */
export async function startPluginHost({ home, config, log, scope }: RoleContext): Promise<void> {
  const client = connect(home, config, 'plugin-host');
  const ca = readFileSync(home.path('pki', 'ca.crt'), 'utf8');
  const seams = { clock: systemClock, random: systemRandom, log };
  const host = scope.use(
    new PluginHost({
      client,
      ...seams,
      files: systemFiles,
      spawn: spawnDuplex,
      fetch: (request) => fetch(request, { tls: { ca } }),
      baseUrl: `https://127.0.0.1:${config.port}`,
      folder: home.path('plugins'),
      runFolder: home.path('run', 'p'),
      clusterId: config.clusterId,
    }),
  );
  const informers = createInformers({ client, ...seams, signal: scope.signal });
  scope.use(await startControllers([host.controller], { client, informers, ...seams, component: 'plugin-host' }));
}

export const startControllersParts = (
  context: RoleContext,
  client: Client,
  informers: InformerFactory,
  metrics: Metrics,
): Promise<void> =>
  run(context, 'controllers', controllersParts(context.catalog, { informers, metrics }, seamsOf(context, client)));

const ownAddresses = (): string[] =>
  Object.values(networkInterfaces()).flatMap((links) => (links ?? []).map(({ address }) => address));

/** `informers`: of the service proxy. */
export function startNodeParts(context: RoleContext, client: Client, informers: InformerFactory): Promise<void> {
  const { home, config, catalog } = context;
  const node = {
    informers,
    nodeName: config.nodeName,
    network: { ip: nthAddress(config.podCidr, 1), podRanges: [config.podCidr], ownAddresses },
    machine: {
      files: systemFiles,
      spawn: spawnDuplex,
      findProgram: (name: string) => programPath(name) ?? programOnPath(name),
    },
    folderOf: (name: string) => home.path('node', 'plugins', name),
    api: {
      url: `https://127.0.0.1:${config.port}`,
      caFile: home.path('pki', 'ca.crt'),
      tokenFile: home.path('credentials', 'proxy.token'),
    },
  };
  return run(context, 'node', nodeParts(catalog, node, seamsOf(context, client)));
}

const seamsOf = ({ log }: RoleContext, client: Client) => ({ client, clock: systemClock, random: systemRandom, log });

async function run({ home, log, scope }: RoleContext, component: string, parts: readonly Part[]): Promise<void> {
  const running = scope.use(await startParts(parts, { clock: systemClock, log }));
  noteParts(home, component, running.reports);
}
