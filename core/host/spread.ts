import { isReason, nodeKind } from '#api';
import { messageOf, timeText } from '#base';
import type { EventRecorder } from '#sdk';
import type { Bundle } from './bundle.ts';
import { type PluginObject, type PluginStatus, pluginKind } from './kind.ts';
import { isNodeWide, overallOf, runsOn } from './placement.ts';
import { probationMs } from './probation.ts';
import { provisionIdentity, provisionKinds } from './provision.ts';
import { noConflict, requirementsMet } from './requirements.ts';
import { afterNodes, type Rollback, rollbackOf } from './rollout.ts';
import { StepError, statusOf, withNulls } from './status.ts';
import { approved, verified } from './verify.ts';
import type { VersionHost } from './version.ts';

/** Nodes come, go and change their labels without a word to the Plugin object. */
const lookEveryMs = 10_000;
/** How long an uninstallation waits for nodes to stop their instances. */
export const leaveMsMax = 30_000;

/**
 * What the cluster's host does for plugins that run on nodes: their kinds, account and role, and one status from those of
 * all nodes. Their processes are the business of each node's own host.
 */
export class SpreadPlugins {
  /** By name: what was provisioned, and for whom. */
  readonly #provisioned = new Map<string, string>();
  constructor(
    private readonly options: VersionHost,
    private readonly signal: AbortSignal,
  ) {}

  /** The bundle that is asked for, when it belongs on nodes; undefined: it is none of these, or cannot be read. */
  async find(plugin: Readonly<PluginObject>): Promise<Bundle | undefined> {
    const bundle = await verified(this.options, plugin.metadata.name!, plugin.spec!.digest).catch(() => undefined);
    return bundle && isNodeWide(bundle.manifest.placement) ? bundle : undefined;
  }

  async reconcile(
    plugin: Readonly<PluginObject>,
    bundle: Bundle,
    events: EventRecorder,
  ): Promise<{ requeueAfterMs: number }> {
    const name = plugin.metadata.name!;
    const nodes = (await this.options.client.list(nodeKind)).items.map(({ metadata }) => ({
      name: metadata.name!,
      labels: metadata.labels,
    }));
    await this.#forget(plugin, new Set(nodes.map((node) => node.name)));
    const { placement } = bundle.manifest;
    const expected = nodes.filter((node) => runsOn(placement, plugin.spec?.nodes, node)).map((node) => node.name);
    const overall = overallOf(plugin.status?.nodes ?? [], expected, plugin.metadata.generation ?? 1);
    const fresh = rollbackOf(plugin) ? undefined : afterNodes(plugin, expected, this.options.clock.now());
    const rollback = fresh ?? rollbackOf(plugin);
    if (fresh) events.event(plugin, 'Warning', 'RolledBack', rolledBackText(plugin, fresh));
    let failure: StepError | undefined;
    let runs = bundle;
    try {
      if (rollback) runs = await verified(this.options, name, rollback.to.digest);
      await (rollback ? this.#provisionFormer(runs, rollback) : this.#provision(plugin, bundle, overall.done));
    } catch (error) {
      this.#provisioned.delete(name);
      failure = error instanceof StepError ? error : new StepError('Loaded', 'Failed', messageOf(error), false);
      events.event(plugin, 'Warning', failure.reason, failure.message);
    }
    await this.#write(plugin, runs, overall, { failure, rollback });
    return { requeueAfterMs: lookEveryMs };
  }

  /** While nodes still run the version before, the role keeps what that one may do. */
  async #provision(plugin: Readonly<PluginObject>, bundle: Bundle, done: boolean): Promise<void> {
    const { client, clock } = this.options;
    const { name } = bundle.manifest;
    const spec = plugin.spec!;
    const state = JSON.stringify([spec.digest, spec.approvedNeeds, spec.config, spec.isolation, done]);
    if (this.#provisioned.get(name) === state) return;
    if (plugin.status?.lastGood && !plugin.status.placement)
      throw new StepError('Resolved', 'PlacementChanged', 'it ran in the cluster before: uninstall it first');
    approved(bundle, spec);
    await requirementsMet(this.options, bundle.manifest, ({ status }) => status?.phase === 'Active');
    await noConflict(this.options, bundle.manifest, ({ status }) => status?.phase === 'Active');
    await provisionKinds(client, bundle.manifest, clock, this.signal);
    const good = done ? undefined : plugin.status?.lastGood;
    const former = good && (await verified(this.options, name, good.digest).catch(() => undefined));
    const running = former && { bundle: former, approvedNeeds: good.approvedNeeds ?? {} };
    await provisionIdentity(client, bundle.manifest, spec.approvedNeeds ?? {}, running);
    this.#provisioned.set(name, state);
  }

  /** What was good before has its rights again, and no others; its kinds are what the newer version made of them. */
  async #provisionFormer({ manifest }: Bundle, { of, to }: Rollback): Promise<void> {
    if (this.#provisioned.get(manifest.name) === of) return;
    await provisionIdentity(this.options.client, manifest, to.approvedNeeds ?? {});
    this.#provisioned.set(manifest.name, of);
  }

  async #write(
    plugin: Readonly<PluginObject>,
    { manifest, digest }: Bundle,
    overall: ReturnType<typeof overallOf>,
    { failure, rollback }: { readonly failure?: StepError; readonly rollback?: Rollback },
  ): Promise<void> {
    const { spec, status: former } = plugin;
    const { phase, message, restarts, sandbox, done } = overall;
    const known = rollback?.to ?? { version: manifest.version, digest, approvedNeeds: spec?.approvedNeeds };
    const advanced = done && !failure && former?.lastGood?.digest !== digest;
    const lastGood = advanced || rollback ? known : former?.lastGood;
    const notLoaded = phase === 'Failed' ? new StepError('Loaded', 'Failed', message) : undefined;
    const runs = { message, restarts, sandbox, hangs: 0, metrics: {} };
    const versions = new Set(former?.nodes?.map((node) => node.version));
    const active = done ? known : versions.size === 1 ? { version: [...versions][0] ?? '', digest } : undefined;
    const status = {
      ...statusOf(
        {
          generation: plugin.metadata.generation ?? 1,
          paused: spec?.paused ?? false,
          failure: failure ?? notLoaded,
          ...(failure || phase === 'Paused' || phase === 'Failed' ? {} : { instance: { phase, ...runs } }),
          healthy: done,
          active: active?.version ? active : undefined,
          lastGood,
          previous: rollback ? undefined : advanced ? former?.lastGood : former?.previous,
          probation: rollback ? undefined : this.#probation(former, advanced),
          rolledBack: rollback && rolledBackText(plugin, rollback),
          registered: manifest,
          unused: [...new Set(former?.nodes?.flatMap((node) => node.unused ?? []))],
        },
        former,
        timeText(this.options.clock.now()),
      ),
      restarts,
      placement: failure ? former?.placement : manifest.placement,
      rollback,
    } as PluginStatus;
    if (Bun.deepEquals(JSON.parse(JSON.stringify({ ...former, ...status })), former ?? {})) return;
    const body = { status: withNulls(status) };
    await this.options.client.patch(
      pluginKind,
      { name: manifest.name },
      { type: 'merge', body },
      { subresource: 'status' },
    );
  }

  /** From the moment when the last node is well, for its time. */
  #probation(former: PluginStatus | undefined, advanced: boolean): PluginStatus['probation'] {
    const nowMs = this.options.clock.now();
    if (advanced) return former?.lastGood && { fallback: former.lastGood, until: timeText(nowMs + probationMs) };
    const there = former?.probation;
    return there && nowMs < Date.parse(there.until) ? there : undefined;
  }

  /** What nodes said that are no more. */
  async #forget({ metadata, status }: Readonly<PluginObject>, there: ReadonlySet<string>): Promise<void> {
    const index = status?.nodes?.findIndex(({ name }) => !there.has(name)) ?? -1;
    if (index < 0) return;
    const path = `/status/nodes/${index}`;
    const body = [
      { op: 'test', path: `${path}/name`, value: status!.nodes![index]!.name },
      { op: 'remove', path },
    ];
    // One at a time: its change brings the next. Somebody else may have changed the list meanwhile.
    await this.options.client
      .patch(pluginKind, { name: metadata.name! }, { type: 'json', body }, { subresource: 'status' })
      .catch((error: unknown) => {
        if (!isReason(error, 'Invalid') && !isReason(error, 'Conflict') && !isReason(error, 'NotFound')) throw error;
      });
  }

  /** Of an uninstallation: nodes stop their instances first, which still have an account then. */
  isLeaving({ metadata, status }: Readonly<PluginObject>): boolean {
    this.#provisioned.delete(metadata.name!);
    const sinceMs = this.options.clock.now() - Date.parse(metadata.deletionTimestamp ?? '');
    return (status?.nodes?.length ?? 0) > 0 && sinceMs < leaveMsMax;
  }
}

const rolledBackText = ({ spec }: Readonly<PluginObject>, { to, why }: Rollback): string =>
  `${spec!.version} was given up ${why}; ${to.version} runs instead`;
