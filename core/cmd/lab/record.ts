import { existsSync } from 'node:fs';
import { PintleError } from '#base';
import { blockOf } from '../../../net/underlay/block.ts';
import type { Cut } from '../../../net/underlay/cuts.ts';
import { planUnderlay, type Underlay, type UnderlayHost, type UnderlayKind } from '../../../net/underlay/plan.ts';
import { Home, labRecordName, openHome } from '../home.ts';

export interface Delay {
  readonly host: string;
  readonly delayMs: number;
  readonly jitterMs: number;
  readonly lossPercent: number;
}
/**
 * DIR/lab.json: written before anything is made, so that what a crash leaves can be removed. Everything outside the folder
 * carries `id` in its name.
 */
export interface LabRecord {
  readonly formatVersion: 1;
  readonly id: string;
  readonly kind: UnderlayKind;
  readonly hosts: number;
  readonly block: string;
  readonly port: number;
  /** Further words for `server`. */
  readonly serverFlags: readonly string[];
  readonly cuts: readonly Cut[];
  readonly delays: readonly Delay[];
}
const mtuBytes = 1500;

/** A lab's folder: lab.json, kubeconfig, run/, logs/, and a home for each host below hosts/. */
export class Lab {
  readonly underlay: Underlay;
  constructor(
    readonly home: Home,
    readonly record: LabRecord,
  ) {
    const { id, kind, hosts } = record;
    this.underlay = planUnderlay({ id, kind, hosts, block: blockOf(record.block, id), mtuBytes });
  }
  hostHome(host: UnderlayHost): Home {
    return new Home(this.home.path('hosts', host.name));
  }
  get hosts(): readonly UnderlayHost[] {
    return this.underlay.hosts;
  }
  /** The one that also runs the server. */
  get first(): UnderlayHost {
    return this.hosts[0]!;
  }
  get serverUrl(): string {
    return `https://${this.first.address}:${this.record.port}`;
  }
  save(change: Partial<LabRecord>): Lab {
    const record = { ...this.record, ...change };
    this.home.writeFile(labRecordName, `${JSON.stringify(record, undefined, 2)}\n`);
    return new Lab(this.home, record);
  }

  /** Hosts by name, `h2,h3`. Throws for one that is not there; `outside` is the machine where that is allowed. */
  named(text: string, allowed: 'hosts' | 'outside too' = 'hosts'): string[] {
    const names = text.split(',').filter((name) => name !== '');
    const known = [...this.hosts.map(({ name }) => name), ...(allowed === 'outside too' ? ['outside'] : [])];
    const stranger = names.find((name) => !known.includes(name));
    if (names.length === 0 || stranger !== undefined)
      throw new PintleError(
        'UNKNOWN_HOST',
        `the lab has no host ${stranger ?? text}`,
        `name one or more of ${known.join(',')}`,
      );
    return names;
  }
  host(name: string): UnderlayHost {
    const [wanted] = this.named(name);
    return this.hosts.find((one) => one.name === wanted)!;
  }
}

export const isLab = (home: Home): boolean => existsSync(home.path(labRecordName));

/** The lab in this folder. Throws NO_LAB or LAB_DAMAGED. */
export function readLab(home: Home): Lab {
  const text = home.readFile(labRecordName);
  if (text === undefined)
    throw new PintleError(
      'NO_LAB',
      `there is no lab in ${home.folder}`,
      `start one: ./pintle lab up --hosts 3 --home ${home.folder}`,
    );
  const record = parse(text);
  if (record) return new Lab(home, record);
  throw new PintleError(
    'LAB_DAMAGED',
    `${home.path(labRecordName)} is no record that this version can read`,
    'remove the namespaces that `ip netns` shows as pl… and the folder by hand',
  );
}

function parse(text: string): LabRecord | undefined {
  try {
    const record = JSON.parse(text) as LabRecord;
    return record.formatVersion === 1 && /^[0-9a-f]{8}$/.test(record.id) ? record : undefined;
  } catch {
    return undefined;
  }
}

export const openLab = (option: string | undefined): Lab => readLab(openHome(option));
