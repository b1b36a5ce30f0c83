import { existsSync } from 'node:fs';
import { PintleError } from '#base';
import type { Home } from './home.ts';

export interface EngineFound {
  readonly socket: string;
  readonly product: string;
  readonly version: string;
}

/** Asks a socket for its version; a `docker` program on PATH proves nothing. Podman needs up to some seconds: it asks its own tools. */
export async function askEngine(socket: string, limitMs = 10_000): Promise<EngineFound | undefined> {
  if (!existsSync(socket)) return undefined;
  try {
    const response = await fetch('http://localhost/version', { unix: socket, signal: AbortSignal.timeout(limitMs) });
    const answer = (await response.json()) as { Version?: string; Components?: { Name: string }[] };
    if (!response.ok || !answer.Version) return undefined;
    return {
      socket,
      product: answer.Components?.some((part) => /podman/i.test(part.Name)) ? 'Podman' : 'Docker',
      version: answer.Version,
    };
  } catch {
    return undefined;
  }
}

/** The socket in DOCKER_HOST, when it is one. */
export function engineNamed(): string | undefined {
  const named = process.env['DOCKER_HOST'];
  return named?.startsWith('unix://') ? named.slice('unix://'.length) : undefined;
}

/** DOCKER_HOST first (unix sockets only), then the usual places of Docker and Podman. */
export async function findEngine(): Promise<EngineFound | undefined> {
  const named = engineNamed();
  if (named) return askEngine(named);
  const runtime = process.env['XDG_RUNTIME_DIR'];
  const places = [
    '/var/run/docker.sock',
    '/run/podman/podman.sock',
    ...(runtime ? [`${runtime}/docker.sock`, `${runtime}/podman/podman.sock`] : []),
  ];
  for (const place of places) {
    const found = await askEngine(place);
    if (found) return found;
  }
  return undefined;
}

const socketPathBytesMax = 107; // sun_path

/** Where a private engine lives. containerd puts sockets below exec-root, so the home path must not be too long. */
export function privateEngine(home: Home): { socket: string; argv: string[] } {
  const folder = home.path('engine');
  const socket = `${folder}/docker.sock`;
  const longest = `${folder}/x/containerd/containerd-debug.sock.ttrpc`;
  if (longest.length > socketPathBytesMax)
    throw new PintleError(
      'HOME_TOO_LONG',
      `the path ${home.folder} is too long for the sockets of a private engine`,
      `name a folder of at most ${socketPathBytesMax - (longest.length - home.folder.length)} characters with --home`,
    );
  return {
    socket,
    argv: [
      'dockerd',
      '--data-root',
      `${folder}/data`,
      '--exec-root',
      `${folder}/x`,
      '--pidfile',
      `${folder}/pid`,
      '--host',
      `unix://${socket}`,
      '--group',
      '0',
      '--bridge=none',
      '--iptables=false',
      '--ip6tables=false',
      '--ip-forward=false',
      '--ip-masq=false',
      '--live-restore', // containers outlive a restart of the engine
    ],
  };
}
