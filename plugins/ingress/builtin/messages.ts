import type { Applied } from '../driver.ts';
import type { Listener, Routing } from '../model.ts';

/** What the node's process and the data plane's say to each other, a JSON object a line; each question has one answer. */
export type ToPlane =
  | { readonly id: number; readonly type: 'apply'; readonly routing: Routing }
  | { readonly id: number; readonly type: 'metrics' };
export type FromPlane =
  | {
      readonly id: number;
      readonly type: 'applied';
      readonly applied: Applied;
      readonly listening: readonly Listener[];
    }
  | { readonly id: number; readonly type: 'metrics'; readonly text: string }
  | { readonly id: number; readonly type: 'failed'; readonly reason: string };
