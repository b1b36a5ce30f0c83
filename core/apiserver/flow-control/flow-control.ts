import { type FlowSchema, flowSchemaKind, isReason, priorityLevelConfigurationKind } from '#api';
import { timeText } from '#base';
import type { AnyKind, AnyObject } from '../contract.ts';
import type { Core } from '../core.ts';
import { systemCall, systemCreate } from '../system-call.ts';
import { updateObject } from '../update-object.ts';
import objects from './objects.json' with { type: 'json' };

const autoUpdate = 'apf.kubernetes.io/autoupdate-spec';

/**
 * The schemas and levels that every cluster has (objects.json holds upstream's). Requests are not sorted by them here: lanes
 * by user bound what is in flight. What is missing comes back at every start, and so does the spec of what says so of itself.
 */
export async function bootstrapFlowControl(core: Core): Promise<void> {
  const levels = Object.entries(objects.prioritylevelconfigurations);
  await Promise.all(levels.map(([name, spec]) => ensure(core, priorityLevelConfigurationKind as AnyKind, name, spec)));
  await Promise.all(
    Object.entries(objects.flowschemas).map(async ([name, spec]) => {
      if (!(await ensure(core, flowSchemaKind as AnyKind, name, spec))) return;
      await tellFound(core, name, spec.priorityLevelConfiguration.name);
    }),
  );
}

/** True: it was made just now. */
async function ensure(core: Core, kind: AnyKind, name: string, spec: object): Promise<boolean> {
  const current = core.cache.cacheOf(kind)?.get('', name)?.object;
  try {
    if (!current) {
      const metadata = { name, annotations: { [autoUpdate]: 'true' } };
      await systemCreate(core, kind, { metadata, spec: structuredClone(spec) } as AnyObject);
      return true;
    }
    if (current.metadata.annotations?.[autoUpdate] !== 'true' || Bun.deepEquals(current['spec'], spec)) return false;
    await updateObject(systemCall(core, kind, 'update', '', name), {
      verb: 'update',
      build: (now) => ({ ...now.draft(), spec: structuredClone(spec) }) as AnyObject,
    });
  } catch (error) {
    if (!isReason(error, 'AlreadyExists', 'Conflict')) throw error; // another apiserver was faster
  }
  return false;
}

async function tellFound(core: Core, name: string, level: string): Promise<void> {
  const call = systemCall(core, flowSchemaKind as AnyKind, 'update', '', name);
  await updateObject(call, {
    verb: 'update',
    subresource: 'status',
    build(now) {
      const next = now.draft() as AnyObject & FlowSchema;
      const message = `This FlowSchema references the PriorityLevelConfiguration object named "${level}" and it exists`;
      const lastTransitionTime = timeText(call.nowMs);
      next.status = {
        conditions: [{ type: 'Dangling', status: 'False', reason: 'Found', message, lastTransitionTime }],
      };
      return next;
    },
  });
}
