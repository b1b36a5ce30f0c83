import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { PintleError } from '#base';

/** What a cluster chose at its first start. It never changes afterwards, so that containers and rules stay valid. */
export interface Config {
  readonly formatVersion: 1;
  /** Eight hex digits; names the bridge, the tables and the labels of containers. */
  readonly clusterId: string;
  readonly createdAt: string;
  readonly port: number;
  readonly kubeletPort: number;
  readonly podCidr: string;
  /** Second range of pods, IPv6: pods have an address of each. */
  readonly podCidr6?: string;
  /** One range, or one of each family with a comma. */
  readonly serviceCidr: string;
  readonly nodePorts: string;
  readonly bridge: string;
  readonly podTable: string;
  readonly serviceTable: string;
  /** Folder of CNI configurations, whose first list gives pods their network. Absent: the bridge of our own. */
  readonly cni?: string;
  readonly runtime: 'docker' | 'process';
  readonly proxy: 'nftables' | 'userspace';
  /** The engine's socket; `private` when the supervisor runs that engine itself. */
  readonly engine?: { readonly socket: string; readonly private: boolean };
  readonly nodeName: string;
  readonly nodeIp: string;
  /** `sqlite` or an etcd address, as store-address.ts reads it. */
  readonly store: string;
  /** A node that is not heard of for this long is NotReady. Absent: 10. May be changed by hand between two starts. */
  readonly nodeGraceSeconds?: number;
  /** Pods leave a node that is NotReady after this long, unless they say otherwise. Absent: as upstream, 300; with several hosts 20. */
  readonly evictAfterSeconds?: number;
  /** `server`: others join this one. `agent`: a host that joined. Absent: a cluster of one host. */
  readonly role?: 'server' | 'agent';
  /** Of a server: addresses where other hosts reach it, the first for preference. */
  readonly advertise?: readonly string[];
  /** Of a server: its own node runs pods like any other. */
  readonly schedulable?: boolean;
  /** Built-in plugins, by name: what --enable and --disable said. */
  readonly plugins?: Readonly<Record<string, boolean>>;
  /** Of an agent: URLs of API servers. One that answers is stayed with. */
  readonly servers?: readonly string[];
  readonly joinedAt?: string;
  /** Of an agent: names what it makes on its host, where two hosts of one cluster may share a machine. */
  readonly hostId?: string;
  /** Where traces of pods' starts are sent: a collector's OTLP over HTTP. Absent: nowhere. */
  readonly otlpEndpoint?: string;
  /** Services may name external addresses. Absent: they may not. */
  readonly externalIps?: boolean;
  /** Ranges of hosts' addresses on which node ports answer. Absent: every address. */
  readonly nodePortAddresses?: readonly string[];
}
/** The command that starts a home like this one. */
export const commandOf = ({ role }: Pick<Config, 'role'>): string => role ?? 'up';
/** Pod addresses of the cluster, the first for the primary ones. */
export const serviceRangesOf = ({ serviceCidr }: Pick<Config, 'serviceCidr'>): readonly string[] =>
  serviceCidr.split(',');
export const podRangesOf = ({ podCidr, podCidr6 }: Pick<Config, 'podCidr' | 'podCidr6'>): readonly string[] =>
  podCidr6 ? [podCidr, podCidr6] : [podCidr];
/** Names the bridge, the tables and the labels of containers of one host. */
export const hostIdOf = (config: Config): string => config.hostId ?? config.clusterId;
/** Has the addresses that this host answers for beside its own. */
export const announcingLinkOf = (config: Config): string => `pa${hostIdOf(config)}`;
/** Pods of other hosts are reached through an overlay, and every host has a subnet of its own. */
export const isSeveralHosts = (config: Config): boolean => config.role !== undefined;
/** The lease lasts as long and is renewed four times in it, so that one lost renewal is no reason for alarm. */
export const nodeGraceSecondsOf = (config: Config): number => Math.max(4, config.nodeGraceSeconds ?? 10);

/** Somebody else can run the pods where there are several hosts: they need not wait for as long as upstream's. */
export const evictAfterSecondsOf = (config: Config): number =>
  config.evictAfterSeconds ?? (isSeveralHosts(config) ? 20 : 300);

export const homeFolders = ['pki', 'credentials', 'data', 'run', 'logs', 'images', 'bin', 'node'] as const;

/** Names the bridge, the tables and the containers: without it nothing could be taken over or removed. */
const configCopy = 'data/config.copy.json';

/** In the folder of a lab, which holds a home for each of its hosts. */
export const labRecordName = 'lab.json';
export const homeIsLab = (folder: string): PintleError =>
  new PintleError(
    'HOME_IS_LAB',
    `${folder} holds a lab of several hosts, not one cluster`,
    `use ./pintle lab status|exec|down --home ${folder}, or the home of one of its hosts: ${folder}/hosts/h1`,
  );

/** All paths of a cluster hang below its home folder. */
export class Home {
  constructor(readonly folder: string) {}
  /** Joins and makes the parent folders on request of the writer only. */
  path(...parts: string[]): string {
    return join(this.folder, ...parts);
  }
  get configPath(): string {
    return this.path('config.json');
  }
  get kubeconfig(): string {
    return this.path('kubeconfig');
  }
  exists(): boolean {
    return existsSync(this.configPath);
  }

  read(): Config {
    let text: string;
    try {
      text = readFileSync(this.configPath, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EACCES')
        throw new PintleError(
          'HOME_NOT_YOURS',
          `the cluster in ${this.folder} belongs to another user`,
          'run this as that user, or name another folder with --home',
        );
      if (existsSync(this.path(labRecordName))) throw homeIsLab(this.folder);
      throw new PintleError(
        'NO_CLUSTER',
        `there is no cluster in ${this.folder}`,
        `start one: ./pintle up --home ${this.folder}`,
      );
    }
    const config = parseConfig(text) ?? parseConfig(this.readFile(configCopy));
    if (config) return config;
    throw new PintleError(
      'CONFIG_DAMAGED',
      `neither ${this.configPath} nor its copy ${this.path(configCopy)} is a configuration that this version can read`,
      'restore one of them from a backup; nothing was changed',
    );
  }

  write(config: Config): void {
    this.makeFolders();
    const text = `${JSON.stringify(config, undefined, 2)}\n`;
    this.writeFile(configCopy, text);
    this.writeFile('config.json', text);
  }

  makeFolders(): void {
    try {
      mkdirSync(this.folder, { recursive: true, mode: 0o700 });
      for (const name of homeFolders) mkdirSync(this.path(name), { recursive: true, mode: 0o700 });
      chmodSync(this.folder, 0o711); // containers of other users reach their volumes below
      chmodSync(this.path('node'), 0o711);
    } catch (error) {
      throw new PintleError(
        'HOME_NOT_WRITABLE',
        `cannot write to ${this.folder}: ${(error as Error).message}`,
        (error as NodeJS.ErrnoException).code === 'ENOSPC'
          ? 'free some space there, or name a folder on another disk with --home'
          : 'name a folder that you may write to with --home',
      );
    }
  }

  /** Whole or not at all: a crash in the middle leaves the former file. */
  writeFile(name: string, text: string, mode = 0o600): void {
    const path = this.path(name);
    writeFileSync(`${path}.new`, text, { mode });
    renameSync(`${path}.new`, path);
  }
  readFile(name: string): string | undefined {
    try {
      return readFileSync(this.path(name), 'utf8');
    } catch {
      return undefined;
    }
  }
}

function parseConfig(text: string | undefined): Config | undefined {
  try {
    const config = JSON.parse(text ?? '') as Config;
    return config.formatVersion === 1 && config.clusterId ? config : undefined;
  } catch {
    return undefined;
  }
}

export function openHome(option: string | undefined): Home {
  const folder = option ?? process.env['PINTLE_HOME'] ?? join(homedir(), '.pintle');
  return new Home(isAbsolute(folder) ? folder : resolve(folder));
}

export const newClusterId = (folder: string): string =>
  createHash('sha256').update(`${folder}\0${crypto.randomUUID()}`).digest('hex').slice(0, 8);
