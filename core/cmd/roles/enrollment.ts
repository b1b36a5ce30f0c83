import { nodeKind, secretKind } from '#api';
import { systemClock } from '#base';
import type { Client } from '#client';
import type { UserInfo } from '#sdk';
import type { SigningKeys } from '../../apiserver/auth/signing-keys.ts';
import type { ApiServer, ExtraPath, Reader } from '../../apiserver/contract.ts';
import { createEnrollmentDesk } from '../../apiserver/enrollment/desk.ts';
import { identityName, identityOf } from '../../apiserver/enrollment/identity.ts';
import { enrollmentNamespace } from '../../apiserver/enrollment/join-token.ts';
import { createNodeTokens } from '../../apiserver/enrollment/node-tokens.ts';
import { enrollmentPaths } from '../../apiserver/enrollment/paths.ts';
import { peerUrls } from '../../apiserver/peers.ts';
import { Tunnels } from '../../apiserver/streaming/tunnels.ts';
import { createClient } from '../../client/http.ts';
import { type Config, nodeGraceSecondsOf } from '../home.ts';
import type { RoleContext } from '../internal.ts';
import { keepControlPlaneLabel } from './own-node.ts';

export interface Desk {
  readonly paths: Readonly<Record<string, ExtraPath>>;
  readonly userOf: (token: string) => Promise<UserInfo | undefined>;
  /** Of nodes that joined. */
  readonly tunnels?: Tunnels;
  /** The API server answers from now on. */
  start(): void;
}
const nobody: Desk = { paths: {}, userOf: async () => undefined, start: () => {} };

/** Where hosts join a server. A cluster of one host has none: nobody can join it, and no such token means anything there. */
export function openDesk(
  { home, config, log, scope }: RoleContext,
  api: {
    readonly keys: SigningKeys;
    readonly reader: () => Reader;
    /** Of the API server's own identity. */
    readonly token: string;
    readonly server: () => ApiServer;
  },
): Desk {
  if (config.role !== 'server') return nobody;
  const tokens = createNodeTokens({
    keys: api.keys,
    clusterId: config.clusterId,
    identity: (name) => identityOf(api.reader().get(secretKind, enrollmentNamespace, identityName(name))),
    clock: systemClock,
  });
  const client = createClient({
    fetch: (request) => api.server().fetch(request),
    baseUrl: 'http://localhost',
    token: api.token,
    userAgent: 'pintle-apiserver',
  });
  const paths = createEnrollmentDesk({
    ca: home.readFile('pki/ca.crt') ?? '',
    kubeletAuthority: {
      cert: home.readFile('pki/kubelet-ca.crt') ?? '',
      key: home.readFile('pki/kubelet-ca.key') ?? '',
    },
    settings: () => ({
      clusterId: config.clusterId,
      podCidr: config.podCidr,
      podCidr6: config.podCidr6,
      serviceCidr: config.serviceCidr,
      nodePorts: config.nodePorts,
      nodeGraceSeconds: nodeGraceSecondsOf(config),
      servers: [...new Set([...serversOf(config), ...peerUrls(api.reader())])],
      plugins: config.plugins ?? {},
      otlpEndpoint: config.otlpEndpoint,
      nodePortAddresses: config.nodePortAddresses,
      jwks: api.keys.jwks,
    }),
    tokens,
    reader: api.reader,
    client: () => client,
    clock: systemClock,
    log,
  });
  const tunnels = scope.use(
    new Tunnels({
      reader: api.reader,
      kubeletCa: home.readFile('pki/kubelet-ca.crt') ?? '',
      clock: systemClock,
      log,
      onWay: (name, way) =>
        void tellWay(client, name, way).catch((error) => log.warn('way not noted', { name, error })),
    }),
  );
  return {
    paths: { ...paths, [enrollmentPaths.tunnel]: tunnels.path },
    userOf: tokens.userOf,
    tunnels,
    start: () => keepControlPlaneLabel(config.nodeName, api.reader(), client, log),
  };
}

/** How the API server reaches the kubelet of a node that joined: `direct` or `tunnel`. */
export const kubeletWayAnnotation = 'pintle.dev/kubelet-way';
const tellWay = (client: Client, name: string, way: string): Promise<unknown> =>
  client.patch(
    nodeKind,
    { name },
    { type: 'merge', body: { metadata: { annotations: { [kubeletWayAnnotation]: way } } } },
  );

/** Where other hosts reach this server. */
export const serversOf = (config: Config): string[] =>
  (config.advertise?.length ? config.advertise : [config.nodeIp]).map(
    (host) => `https://${hostPart(host)}:${config.port}`,
  );
const hostPart = (host: string): string => (host.includes(':') ? `[${host}]` : host);
