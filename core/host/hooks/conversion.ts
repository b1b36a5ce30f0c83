import { errors, type KubeObject, StatusError } from '#api';
import { messageOf } from '#base';
import type { CallWebhook, CustomObject, ServedKind } from '#sdk';
import { accountNamespace } from '../rbac.ts';
import type { AskPlugin } from './door.ts';

/** A plugin's place in the cluster: calls of the API server to this service go to the plugin, not over the network. */
export const conversionPath = '/convert';

/** The same definition, converted by its plugin. Pure. */
export function withConversion(definition: KubeObject, plugin: string): KubeObject {
  const { spec } = definition as KubeObject & { spec: object };
  const service = { namespace: accountNamespace, name: plugin, path: conversionPath, port: 443 };
  const conversion = {
    strategy: 'Webhook',
    webhook: { clientConfig: { service }, conversionReviewVersions: ['v1'] },
  };
  return { ...definition, spec: { ...spec, conversion } } as KubeObject;
}

/** Conversions by a plugin, asked of it; every other webhook as before. Without an answer: 503, and the stored version is served on. */
export function convertingByPlugins(
  ask: AskPlugin,
  kinds: () => readonly ServedKind[],
  others: CallWebhook | undefined,
): CallWebhook {
  return async (target, body, options) => {
    const { service } = target;
    if (service?.namespace !== accountNamespace || service.path !== conversionPath) {
      if (others) return others(target, body, options);
      throw errors.internal('this server reaches no webhooks');
    }
    const { request } = body as { request: { uid: string; desiredAPIVersion: string; objects: CustomObject[] } };
    const { uid, desiredAPIVersion: apiVersion, objects } = request;
    const group = apiVersion.slice(0, apiVersion.indexOf('/'));
    const kind = kinds().find((one) => one.kind.group === group && one.kind.kind === objects[0]?.kind)?.kind;
    const hook = `convert ${kind?.plural ?? ''}.${group}`;
    try {
      const convertedObjects = await ask(service.name, hook, 'convert', { objects, apiVersion });
      return { response: { uid, convertedObjects, result: { status: 'Success' } } };
    } catch (error) {
      throw new StatusError(
        503,
        'ServiceUnavailable',
        `plugin ${JSON.stringify(service.name)} did not convert ${group} ${kind?.kind ?? ''} to ${apiVersion}: ${messageOf(error).slice(0, 2_048)}`,
        { retryAfterSeconds: 1 },
      );
    }
  };
}
