import { errors } from '#api';
import type { StreamContext } from '../contract.ts';

export const isWebSocket = (request: Request): boolean => request.headers.get('upgrade')?.toLowerCase() === 'websocket';
export const isSpdy = (request: Request): boolean =>
  request.headers.get('upgrade')?.toLowerCase().startsWith('spdy/') ?? false;

export const spdyRefused = () =>
  errors.badRequest(
    'this server streams over WebSockets only, and the request asks for SPDY/3.1: use kubectl 1.31 or newer (or a client that speaks v5.channel.k8s.io)',
  );
export const upgradeRequired = () => errors.badRequest('Upgrade request required');

/** Refused when the request did not come over a socket (in process). */
export function upgraded(context: StreamContext, ...upgrade: Parameters<StreamContext['upgrade']>): undefined {
  if (!context.upgrade(...upgrade))
    throw errors.badRequest('this request did not come over a connection that can be upgraded');
  return undefined;
}
