import type { Commit, History } from '../disk.ts';
import type { Exchange } from '../network.ts';

export type InvariantName = 'I1' | 'I2' | 'I3' | 'I4' | 'I5' | 'I6' | 'I7' | 'I8' | 'I9' | 'I13' | 'I15' | 'I16';
export interface Violation {
  readonly invariant: InvariantName;
  readonly atMs: number;
  readonly message: string;
}
export interface Truth {
  readonly history: History;
  nowMs(): number;
  report(invariant: InvariantName, message: string): void;
}
/** What a client asked to be told from where on, and what it was told. One for each watch. */
export interface WatchCheck {
  line(text: string): void;
  ends(): void;
}
/** Sees what no component can: the true order of all changes and both ends of every exchange. */
export interface Checker {
  commit?(commit: Commit): void;
  /** A request has reached the server. */
  began?(exchange: Exchange): void;
  /** The server has answered; whether the client will ever know is told later. */
  answered?(exchange: Exchange, status: number, body: string): void;
  delivered?(exchange: Exchange, reached: boolean): void;
  watch?(exchange: Exchange): WatchCheck | undefined;
  /** When the apiserver comes up again, and at the end: what the store holds now. */
  stored?(entries: readonly Stored[]): void;
  /** Now and then: which pods run where, by uid and node. */
  running?(places: readonly { readonly podUid: string; readonly node: string }[]): void;
  /** At the end, after the liveness phase. */
  end?(): void;
}
export interface Stored {
  readonly key: string;
  readonly version: number;
  readonly value: Uint8Array;
}
export type MakeChecker = (truth: Truth) => Checker;

/** Path and query of a request for a built-in resource. */
export interface Target {
  /** `/registry/group/plural/` */
  readonly prefix: string;
  readonly namespace: string;
  readonly name: string;
  readonly subresource: string;
  readonly query: URLSearchParams;
}
export function targetOf(text: string): Target | undefined {
  const [path = '', query = ''] = text.split('?');
  const parts = path.split('/').slice(1);
  const group = parts[0] === 'api' ? 'core' : parts[0] === 'apis' ? parts[1] : undefined;
  if (!group) return undefined;
  let rest = parts.slice(parts[0] === 'api' ? 2 : 3);
  let namespace = '';
  if (rest[0] === 'namespaces' && rest.length > 2 && rest[2] !== 'status' && rest[2] !== 'finalize') {
    namespace = rest[1]!;
    rest = rest.slice(2);
  }
  const [plural = '', name = '', subresource = ''] = rest;
  if (!plural) return undefined;
  return { prefix: `/registry/${group}/${plural}/`, namespace, name, subresource, query: new URLSearchParams(query) };
}
export const storeKeyOf = ({ prefix, namespace, name }: Target): string =>
  prefix + (namespace ? `${namespace}/` : '') + name;

/** The first resourceVersion of a JSON text: an object's own, or a list's. */
export const versionIn = (text: string): number | undefined => {
  const match = /"resourceVersion":"(\d+)"/.exec(text);
  return match ? Number(match[1]) : undefined;
};
