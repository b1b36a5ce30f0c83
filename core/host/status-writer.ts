import { type Clock, timeText } from '#base';
import type { Client } from '#client';
import { type Entry, hasReached } from './entry.ts';
import type { HookBoard } from './hooks/board.ts';
import { type PluginObject, pluginKind } from './kind.ts';
import { type Seen, statusOf, withNulls } from './status.ts';

/** Writes what the host knows of its plugins into their objects: one write of each after the other, and none that says nothing new. */
export class StatusWriter {
  constructor(
    private readonly client: Client,
    private readonly clock: Clock,
    private readonly hooks: Pick<HookBoard, 'statusOf'>,
  ) {}

  report(name: string, plugin: Readonly<PluginObject>, entry: Entry): Promise<void> {
    const work = entry.writing.then(() => this.#write(name, plugin, entry));
    entry.writing = work.catch(() => {});
    return work;
  }
  async #write(name: string, plugin: Readonly<PluginObject>, entry: Entry): Promise<void> {
    const { running } = entry;
    const seen: Seen = {
      generation: hasReached(plugin, entry)
        ? (plugin.metadata.generation ?? 1)
        : (plugin.status?.observedGeneration ?? 0),
      paused: plugin.spec?.paused ?? false,
      failure: entry.failure,
      instance: running?.instance.state,
      healthy: running?.healthy ?? false,
      active: running && { version: running.bundle.manifest.version, digest: running.bundle.digest },
      lastGood: entry.lastGood,
      previous: entry.previous,
      probation: entry.upgrade && {
        fallback: entry.upgrade.fallback,
        until: timeText(this.clock.now() + entry.upgrade.untilMs - this.clock.monotonicMs()),
      },
      rolledBack: entry.rolledBack,
      hooks: this.hooks.statusOf(name) ?? (entry.formerHooks?.length ? entry.formerHooks : undefined),
      registered: running?.bundle.manifest,
    };
    const { placement } = plugin.status ?? {};
    const status = { ...statusOf(seen, plugin.status, timeText(this.clock.now())), placement };
    const text = JSON.stringify({
      ...status,
      conditions: status.conditions?.map((one) => ({ ...one, lastTransitionTime: '' })),
      probation: status.probation?.fallback,
    });
    if (text === entry.written) return;
    const patch = { type: 'merge', body: { status: withNulls(status) } } as const;
    await this.client.patch(pluginKind, { name }, patch, { subresource: 'status' });
    entry.written = text;
  }
}
