import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock, Exec } from '#base';
import { readPrivate, writePrivate } from '../backends/private-file.ts';
import { WireguardDevice } from '../wireguard/device.ts';
import { type KeyPair, newKeyPair } from '../wireguard/keys.ts';
import { probeWireguard } from '../wireguard/probe.ts';
import type { WireguardLinks } from './device.ts';

export interface WireguardLinksOptions {
  /** Runs in the host's network namespace. */
  readonly exec: Exec;
  readonly clock: Clock;
  /** For private keys; they never leave it. */
  readonly folder: string;
}
const overheadBytes = 60; // 20 IPv4 + 8 UDP + 16 header + 16 tag
const ipv6ExtraBytes = 20;

/** Tunnels for backends of plugins: these name public keys, endpoints and ranges, and never see a private key. */
export function createWireguardLinks({ exec, clock, folder }: WireguardLinksOptions): WireguardLinks {
  const devices = new Map<string, WireguardDevice>();
  const deviceOf = (name: string): WireguardDevice => {
    const device = devices.get(name) ?? new WireguardDevice({ name, exec, clock });
    devices.set(name, device);
    return device;
  };
  const keyFile = (name: string): string => join(folder, `${name}.key.json`);
  const keysOf = (name: string): KeyPair => {
    const text = readPrivate(keyFile(name));
    if (text !== undefined) return JSON.parse(text) as KeyPair;
    const keys = newKeyPair();
    writePrivate(keyFile(name), JSON.stringify(keys));
    return keys;
  };
  return {
    async ensure(name, { port, mtuBytes, addresses }, { endpoint, underlayMtuBytes }) {
      const keys = keysOf(name);
      const implementation = await probeWireguard(exec, `${name.slice(0, 12)}tst`);
      const mtu = mtuBytes ?? underlayMtuBytes - overheadBytes - (endpoint.includes(':') ? ipv6ExtraBytes : 0);
      await deviceOf(name).ensure(implementation, { mtuBytes: mtu, addresses }, { ...keys, port });
      return keys.publicKey;
    },
    async sync(name, peers) {
      const wanted = peers.map(({ publicKey, endpoint: { ip, port }, allowed, keepaliveSeconds = 0 }) => ({
        node: publicKey,
        publicKey,
        endpoint: ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`,
        allowedIps: [...allowed].sort(),
        keepaliveS: keepaliveSeconds,
      }));
      const device = deviceOf(name);
      device.forget(); // somebody may have changed it
      const { set } = await device.apply(wanted, Math.floor(clock.now() / 1_000));
      return set.map(({ peer }) => peer.publicKey);
    },
    async remove(name) {
      await deviceOf(name).remove();
      devices.delete(name);
      rmSync(keyFile(name), { force: true });
    },
  };
}
