import { randomBytes } from 'node:crypto';
import { existsSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { PintleError, systemExec } from '#base';
import type { ClusterSettings, JoinRequest } from '../apiserver/enrollment/desk.ts';
import type { JoinToken } from '../apiserver/enrollment/join-token.ts';
import { requestCertificate } from '../wire/pki.ts';
import { joinAt, localAddressTo, pinnedAuthority, serverUrl, tokenFlag } from './agent/enroll.ts';
import { nodeKey } from './agent/identity.ts';
import { startAgent } from './agent.ts';
import type { Decision, UpOptions } from './decide.ts';
import { claimFolder, cniOf, freePort, hostRoutes, nodeNameOf } from './first-start.ts';
import { type Config, type Home, openHome, serviceRangesOf } from './home.ts';
import { takeTurn } from './lock.ts';
import { chooseAlone, neighbours, register } from './neighbours.ts';
import { createProgress, type Progress } from './progress.ts';
import { overlaps, spanOf } from './ranges.ts';
import { addressFlag, nodeNameFlag } from './server.ts';
import { fitMachine, otherRole } from './up.ts';

export interface JoinFlags extends Pick<UpOptions, 'home' | 'yes' | 'detach' | 'runtime' | 'cni'> {
  readonly token?: string;
  readonly nodeName?: string;
  readonly nodeIp?: string;
}

/** `join URL --token T`: makes this host a node of the server's cluster, and starts it. Safe to repeat with the same home. */
export async function join(address: string, flags: JoinFlags): Promise<void> {
  const server = serverUrl(address);
  const token = tokenFlag(flags.token);
  const nodeName = flags.nodeName ? nodeNameFlag(flags.nodeName) : nodeNameOf(hostname());
  if (flags.nodeIp) addressFlag(flags.nodeIp);
  const home = openHome(flags.home);
  if (home.exists()) {
    const { role, servers } = home.read();
    if (role !== 'agent') throw otherRole(home.read());
    throw new PintleError(
      'HOME_IN_USE',
      `this home belongs to a host that joined ${servers?.[0] ?? 'a cluster'} already`,
      `start it with ./pintle agent --home ${home.folder}, or remove it first: ./pintle down --purge --home ${home.folder}`,
    );
  }
  const progress = createProgress();
  const folderIsNew = !existsSync(home.folder);
  claimFolder(home);
  const turn = await takeTurn(home, progress);
  try {
    await enroll(home, { server, token, nodeName, flags }, progress);
  } catch (error) {
    // What was refused leaves nothing; where only the answer was lost, the key is kept for the next try.
    const isRefused = error instanceof PintleError && error.code !== 'SERVER_UNREACHABLE';
    if (folderIsNew && isRefused) rmSync(home.folder, { recursive: true, force: true });
    throw error;
  }
  await startAgent(home, progress, turn, flags.detach === true);
}

interface Wanted {
  readonly server: string;
  readonly token: JoinToken;
  readonly nodeName: string;
  readonly flags: JoinFlags;
}

/** Writes a whole home, or throws. */
async function enroll(home: Home, { server, token, nodeName, flags }: Wanted, progress: Progress): Promise<void> {
  const ca = await progress.step(`asking ${server}`, () => pinnedAuthority(server, token));
  const decision = await fitMachine(home, flags, progress, true);
  const cni = cniOf(flags, decision);
  const { publicKey } = await nodeKey(home);
  const { key, requestDer } = await requestCertificate('ECDSAP256');
  const request = (): JoinRequest => ({
    token: `${token.id}.${token.secret}`,
    nodeName,
    publicKey,
    certificateRequest: Buffer.from(requestDer).toString('base64'),
    nowMs: Date.now(),
  });
  const first = await joinAt(server, ca, { ...request(), dryRun: true });
  checkRanges(first.settings, await hostRoutes(systemExec));
  const nodeIp = flags.nodeIp ?? (await localAddressTo(server));
  const { settings, certificate } = await progress.step(`joining as ${nodeName}`, () => joinAt(server, ca, request()));
  home.writeFile('pki/ca.crt', ca, 0o644);
  home.writeFile('pki/kubelet.key', key);
  home.writeFile('pki/kubelet.crt', certificate, 0o644);
  home.writeFile('pki/sa.jwks', JSON.stringify(settings.jwks), 0o644);
  await chooseAlone(async () => {
    const config = await agentConfig(home, settings, decision, { server, nodeName, nodeIp });
    home.write({ ...config, ...cni }); // last: a home with a configuration is complete
    register(home, config);
  });
}

/** Where pods and services of the cluster have addresses, this host must not know other ways. */
export function checkRanges({ podCidr, serviceCidr }: ClusterSettings, routes: readonly string[]): void {
  for (const [what, range] of [
    ['pods', podCidr],
    ...serviceRangesOf({ serviceCidr }).map((range) => ['services', range] as const),
  ] as const) {
    const mine = spanOf(range);
    const other = routes.find((route) => {
      const span = spanOf(route);
      return mine && span && overlaps(mine, span);
    });
    if (other)
      throw new PintleError(
        'RANGE_TAKEN',
        `the cluster's ${what} have ${range}, which overlaps ${other}, a route of this host`,
        'remove that route here, or give the cluster other ranges: ./pintle server --pod-cidr … --service-cidr … in a new home',
      );
  }
}

async function agentConfig(
  home: Home,
  settings: ClusterSettings,
  decision: Decision,
  own: { readonly server: string; readonly nodeName: string; readonly nodeIp: string },
): Promise<Config> {
  const hostId = randomBytes(4).toString('hex');
  const taken = new Set(neighbours(home).flatMap((other) => [other.port, other.kubeletPort]));
  return {
    formatVersion: 1,
    clusterId: settings.clusterId,
    hostId,
    role: 'agent',
    servers: [...new Set([own.server, ...settings.servers])],
    createdAt: new Date().toISOString(),
    joinedAt: new Date().toISOString(),
    port: Number(new URL(own.server).port) || 443,
    kubeletPort: await freePort(10250, taken),
    podCidr: settings.podCidr,
    ...(settings.podCidr6 ? { podCidr6: settings.podCidr6 } : {}),
    serviceCidr: settings.serviceCidr,
    nodePorts: settings.nodePorts,
    nodeGraceSeconds: settings.nodeGraceSeconds,
    plugins: settings.plugins,
    ...(settings.otlpEndpoint && { otlpEndpoint: settings.otlpEndpoint }),
    ...(settings.nodePortAddresses && { nodePortAddresses: settings.nodePortAddresses }),
    bridge: `pin${hostId}`,
    podTable: `pintle_pods_${hostId}`,
    serviceTable: `pintle_services_${hostId}`,
    runtime: decision.runtime,
    proxy: decision.proxy,
    engine: decision.engine,
    nodeName: own.nodeName,
    nodeIp: own.nodeIp,
    store: 'none', // the server has it
  };
}
