import { isReason, type Kind, type KubeObject, type ObjectKey } from '#api';
import type { Client } from '#client';
import type { AnyObject, PartObjects } from '#sdk';

const triesMax = 20;
/** A part's own writes, through the server's front door as the server itself. */
export const partObjects = (client: Client): PartObjects => ({
  async create(kind, object) {
    await client.create(kind as Kind<KubeObject>, object);
  },
  async update(kind, { namespace, name, subresource }, change) {
    const key: ObjectKey = { namespace: namespace || undefined, name };
    for (let tries = 1; ; tries++) {
      const draft = (await client.get(kind as Kind<KubeObject>, key)) as AnyObject;
      if (!change(draft)) return;
      try {
        await client.update(kind as Kind<KubeObject>, draft, { subresource });
        return;
      } catch (error) {
        if (!isReason(error, 'Conflict') || tries >= triesMax) throw error;
      }
    }
  },
  delete: (kind, { namespace, name }) => client.delete(kind, { namespace: namespace || undefined, name }),
});
