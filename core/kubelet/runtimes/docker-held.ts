import type { Duplex } from 'node:stream';
import type { frameReader } from './docker-streams.ts';

/** An attached connection, and where its reader stands in the frames; a terminal has none. */
export interface Attachment {
  readonly duplex: Duplex;
  readonly frames?: ReturnType<typeof frameReader>;
}

/**
 * Podman ends a program's stdin when any connection that is attached to it closes, which its users do not mean by leaving.
 * So connections that were left stay open, what they say is dropped, and the next who attaches takes one over: there are
 * never more of a container than were in use at once, and they end with it.
 */
export class HeldAttachments {
  readonly #idle = new Map<string, { attachment: Attachment; release(): void }[]>();

  take(key: string): Attachment | undefined {
    const held = this.#idle.get(key)?.at(-1);
    held?.release();
    return held?.attachment;
  }

  keep(key: string, attachment: Attachment): void {
    const { duplex, frames } = attachment;
    const drop = (chunk: Uint8Array) => {
      try {
        frames?.(chunk);
      } catch {
        duplex.destroy();
      }
    };
    const held = {
      attachment,
      release: () => {
        duplex.off('data', drop).off('close', held.release).off('error', held.release);
        const others = (this.#idle.get(key) ?? []).filter((other) => other !== held);
        if (others.length > 0) this.#idle.set(key, others);
        else this.#idle.delete(key);
      },
    };
    this.#idle.set(key, [...(this.#idle.get(key) ?? []), held]);
    duplex.on('data', drop).on('close', held.release).on('error', held.release).resume();
  }
}
