import type { KubeObject } from '#api';

/** Writes core/v1 Events about an object; equal ones are counted, floods are dropped. Never throws and never waits. */
export interface EventRecorder {
  event(
    about:
      | KubeObject
      | { kind: string; apiVersion: string; metadata: { name: string; namespace?: string; uid?: string } },
    type: 'Normal' | 'Warning',
    reason: string,
    message: string,
    fieldPath?: string,
  ): void;
}
