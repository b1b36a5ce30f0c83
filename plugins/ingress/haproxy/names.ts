import { isIP } from 'node:net';
import type { Backend, Endpoint } from '../model.ts';

/**
 * Everything that reaches HAProxy's configuration, its maps or its runtime socket passes here: a name is made by us or has one
 * of these forms, so that no text of a user can end a word, a line or a command.
 */
const hostPattern = /^(?:\*\.)?[a-z0-9_](?:[a-z0-9._-]{0,251}[a-z0-9_])?$/;
const pathPattern = /^\/[\x21\x22\x24-\x7e]*$/; // printable, no blank, no #: what a request target can hold at all
const tokenPattern = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const portMax = 65_535;
export const pathBytesMax = 4_096; // a key has to fit into one payload of the runtime socket

export const isHost = (host: string): boolean => host === '' || hostPattern.test(host);
export const isPath = (path: string): boolean => path.length <= pathBytesMax && pathPattern.test(path);
export const isToken = (text: string): boolean => text.length <= 256 && tokenPattern.test(text);
export const isEndpoint = ({ ip, port }: Endpoint): boolean =>
  isIP(ip) > 0 && Number.isInteger(port) && port > 0 && port <= portMax;

/** `10.0.0.1:80`, `fd00::1:80`: HAProxy takes the port after the last colon. */
export const addressOf = ({ ip, port }: Endpoint): string => `${ip}:${port}`;
/** A server is named after its address; IPv6 is taken as it is. */
export const serverOf = ({ ip, port }: Endpoint): string => `${ip}-${port}`;

/**
 * What of a backend only a configuration can say; backends that agree in it can have each other's places. `t`: it has
 * time-outs of its own, which are looked up.
 */
export function classOf(backend: Pick<Backend, 'protocol' | 'timeouts' | 'connectRetries'>, isTuned: boolean): string {
  const { connectMs } = backend.timeouts;
  const speech = backend.protocol === 'http1' ? 'p' : backend.protocol === 'h2c' ? 'h' : 'g';
  return `${speech}${Math.round(connectMs)}r${Math.round(backend.connectRetries)}${isTuned ? 't' : ''}`;
}
export interface BackendClass {
  readonly protocol: Backend['protocol'];
  readonly connectMs: number;
  readonly connectRetries: number;
  readonly isTuned: boolean;
}
export function readClass(name: string): BackendClass {
  const found = /^([phg])(\d+)r(\d+)(t?)$/.exec(name)!;
  return {
    protocol: found[1] === 'p' ? 'http1' : found[1] === 'h' ? 'h2c' : 'grpc',
    connectMs: Number(found[2]),
    connectRetries: Number(found[3]),
    isTuned: found[4] === 't',
  };
}
