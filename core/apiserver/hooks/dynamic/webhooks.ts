import {
  type Kind,
  type MutatingWebhook,
  type MutatingWebhookConfiguration,
  mutatingWebhookConfigurationKind,
  StatusError,
  type ValidatingWebhook,
  type ValidatingWebhookConfiguration,
  validatingWebhookConfigurationKind,
} from '#api';
import { messageOf, randomUuid } from '#base';
import type { CallWebhook, WebhookTarget } from '#sdk';
import type { AdmissionHook, AdmissionRequest, AnyObject, JsonObject } from '../../contract.ts';
import type { Core } from '../../core.ts';
import { resourceText } from '../../core.ts';
import { applyKindDefaults, decodeKind } from '../../kind-schema.ts';
import { type CompiledConditions, compileConditions, conditionsHold } from './conditions.ts';
import { chosenBy, isExempt, namespaceSelected, objectSelected, type Target } from './matching.ts';
import { failedCalling, refusalOf, reviewOf, reviewRequest, type Verdict, verdictOf } from './review.ts';
import { fromForm, inForm, type Shown, subjectOf } from './subject.ts';

type Webhook = ValidatingWebhook | MutatingWebhook;
interface Configured<T extends Webhook> {
  readonly hook: T;
  /** Of its configuration and its place there. */
  readonly id: string;
  readonly conditions: CompiledConditions | undefined;
}
const defaultTimeoutSeconds = 10;

/** All webhooks of one sort, in the order of their configurations' names; made anew when one of those changes. */
class Configurations<T extends Webhook> {
  readonly #byName = new Map<string, readonly Configured<T>[]>();
  #all: readonly Configured<T>[] = [];
  constructor(core: Core, kind: Kind<{ metadata?: { name?: string }; webhooks?: T[] }>) {
    core.reader.onChange?.(kind, (next, previous) => {
      const name = (next ?? previous)?.metadata?.name ?? '';
      if (next)
        this.#byName.set(
          name,
          (next.webhooks ?? []).map((hook, index) => configured(hook, `${name}/${index}`)),
        );
      else this.#byName.delete(name);
      this.#all = [...this.#byName].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([, hooks]) => hooks);
    });
  }
  get all(): readonly Configured<T>[] {
    return this.#all;
  }
}
const configured = <T extends Webhook>(hook: T, id: string): Configured<T> => ({
  hook,
  id,
  conditions: hook.matchConditions?.length ? compileConditions(hook.matchConditions) : undefined,
});

/** The server's own writes while it starts must not wait for a webhook that runs in this very cluster. */
export const isOwnWrite = ({ user }: AdmissionRequest): boolean => user.name === 'system:apiserver';

/** The request in the form in which this webhook takes it; undefined: it is not asked. Throws 403 when its conditions fail. */
async function chosen(core: Core, { hook, conditions }: Configured<Webhook>, shown: Shown): Promise<Asked | undefined> {
  if (!objectSelected(hook.objectSelector, shown)) return undefined;
  const rules = chosenBy(hook.rules, hook.matchPolicy, shown);
  if (!rules || !namespaceSelected(hook.namespaceSelector, shown, core.reader)) return undefined;
  const target = shown.kindOf(rules);
  const [object, old] = [
    await inForm(core, shown.request, shown.object, rules),
    await inForm(core, shown.request, shown.current, rules),
  ];
  const asked = { target, object, old, request: reviewRequest(shown.request, shown, target) };
  if (conditions) {
    const held = conditionsHold(core, conditions, { ...asked, shown, failurePolicy: hook.failurePolicy });
    if (typeof held === 'string')
      throw new StatusError(
        403,
        'Forbidden',
        `${resourceText(shown.request.kind)} ${JSON.stringify(shown.name)} is forbidden: ${held}`,
        { name: shown.name || undefined, group: shown.target.group || undefined, kind: shown.target.resource },
      );
    if (!held) return undefined;
  }
  return asked;
}
interface Asked {
  readonly target: Target;
  readonly object: AnyObject | undefined;
  readonly old: AnyObject | undefined;
  readonly request: JsonObject;
}

/** Undefined: it could not be asked, and that is not to matter. Throws what the client is told. */
async function ask(
  core: Core,
  call: CallWebhook,
  hook: Webhook,
  shown: Shown,
  asked: Asked,
  mutating: boolean,
): Promise<Verdict | undefined> {
  const { request } = shown;
  const effects = hook.sideEffects;
  if (request.dryRun && effects !== 'None' && effects !== 'NoneOnDryRun')
    throw new StatusError(400, 'BadRequest', `admission webhook ${JSON.stringify(hook.name)} does not support dry run`);
  const version = hook.admissionReviewVersions.find((one) => one === 'v1' || one === 'v1beta1');
  try {
    if (version !== 'v1' && version !== 'v1beta1')
      throw new Error(
        'could not create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)',
      );
    const review = reviewOf(asked.request, version, randomUuid(core.random), asked.object, asked.old);
    const seconds = hook.timeoutSeconds ?? defaultTimeoutSeconds;
    const answer = await call(hook.clientConfig as WebhookTarget, review.body, {
      timeoutMs: seconds * 1000,
      query: `?timeout=${seconds}s`,
    }).catch((error: unknown) => {
      throw new Error(`failed to call webhook: ${messageOf(error).replace(/^Internal error occurred: /, '')}`);
    });
    const verdict = verdictOf(answer, review, mutating);
    for (const warning of verdict.warnings) request.warn(warning);
    if (!verdict.allowed) throw refusalOf(hook.name, verdict.status);
    return verdict;
  } catch (error) {
    if (error instanceof StatusError) throw error;
    core.log.warn('a webhook could not be asked', {
      webhook: hook.name,
      policy: hook.failurePolicy,
      error: messageOf(error),
    });
    if (hook.failurePolicy === 'Ignore') return undefined;
    throw failedCalling(hook.name, messageOf(error));
  }
}

/** Validating webhooks are asked all at once; the first refusal in their order is the answer. */
export function validatingWebhooks(core: () => Core, call: CallWebhook): AdmissionHook {
  let configurations: Configurations<ValidatingWebhook> | undefined;
  const validate = (request: AdmissionRequest): Promise<void> | undefined => {
    configurations ??= new Configurations(
      core(),
      validatingWebhookConfigurationKind as Kind<ValidatingWebhookConfiguration>,
    );
    const hooks = configurations.all;
    return hooks.length === 0 || isOwnWrite(request) ? undefined : validateBy(core(), call, hooks, request);
  };
  return { name: 'ValidatingAdmissionWebhook', validate, connect: validate };
}
async function validateBy(
  core: Core,
  call: CallWebhook,
  hooks: readonly Configured<ValidatingWebhook>[],
  request: AdmissionRequest,
): Promise<void> {
  const shown = subjectOf(core, request);
  if (isExempt(shown.target)) return;
  const asked: { readonly hook: ValidatingWebhook; readonly as: Asked }[] = [];
  for (const one of hooks) {
    const as = await chosen(core, one, shown);
    if (as) asked.push({ hook: one.hook, as });
  }
  const answers = await Promise.allSettled(asked.map(({ hook, as }) => ask(core, call, hook, shown, as, false)));
  for (const answer of answers) if (answer.status === 'rejected') throw answer.reason as Error;
}

/** Mutating webhooks are asked one after the other; those that wish it once more when somebody changed the object after them. */
export function mutatingWebhooks(core: () => Core, call: CallWebhook): AdmissionHook {
  let configurations: Configurations<MutatingWebhook> | undefined;
  const asked = new WeakMap<object, Set<string>>();
  const mutate = (request: AdmissionRequest): Promise<void> | undefined => {
    configurations ??= new Configurations(
      core(),
      mutatingWebhookConfigurationKind as Kind<MutatingWebhookConfiguration>,
    );
    const hooks = configurations.all;
    return hooks.length === 0 || isOwnWrite(request) ? undefined : mutateBy(core(), call, hooks, request, asked);
  };
  return {
    name: 'MutatingAdmissionWebhook',
    mutate,
    connect: mutate,
    // A deletion has no object to change and thus no mutating pass, but such webhooks may refuse it.
    validate: (request) => (request.operation === 'DELETE' ? mutate(request) : undefined),
  };
}

async function mutateBy(
  core: Core,
  call: CallWebhook,
  hooks: readonly Configured<MutatingWebhook>[],
  request: AdmissionRequest,
  before: WeakMap<object, Set<string>>,
): Promise<void> {
  const { passes } = request;
  const isSecond = passes?.round === 1;
  /** Asked before the last change, and willing to be asked again. */
  const again = (passes && before.get(passes)) ?? new Set<string>();
  const willing = new Set<string>();
  for (const one of hooks) {
    const { hook, id } = one;
    if (isSecond && !again.has(id)) continue;
    const shown = subjectOf(core, request);
    if (isExempt(shown.target)) return;
    const as = await chosen(core, one, shown);
    if (!as) continue;
    const verdict = await ask(core, call, hook, shown, as, true);
    const operations = verdict?.patch;
    if (Array.isArray(operations) && operations.length > 0 && (await patch(core, hook, request, as, operations))) {
      for (const other of willing) again.add(other);
      if (passes && !isSecond) passes.again = true;
    }
    if (hook.reinvocationPolicy === 'IfNeeded') willing.add(id);
  }
  if (passes && !isSecond) before.set(passes, again);
}

/** True: the object is another one now. */
async function patch(
  core: Core,
  hook: MutatingWebhook,
  request: AdmissionRequest,
  asked: Asked,
  operations: readonly unknown[],
): Promise<boolean> {
  const { object } = request;
  if (!object || !asked.object || request.operation === 'DELETE' || request.operation === 'CONNECT')
    throw new StatusError(
      500,
      'InternalError',
      `Internal error occurred: admission webhook ${JSON.stringify(hook.name)} attempted to modify the object, which is not supported for this operation`,
    );
  let patched: AnyObject;
  try {
    patched = core.patches.applyJsonPatch(asked.object, operations) as AnyObject;
  } catch (error) {
    throw new StatusError(500, 'InternalError', `Internal error occurred: ${messageOf(error)}`);
  }
  return replaceObject(core, request, await fromForm(core, request, patched));
}

/** Takes a changed object in place of the one that is written: pruned, defaulted, and who it is stays. True: something differs. */
export function replaceObject(core: Core, request: AdmissionRequest, patched: AnyObject): boolean {
  const object = request.object!;
  const served = core.kinds.find(request.kind.group, request.kind.version, request.kind.plural);
  if (served) {
    const { errors: mistakes } = decodeKind(core, served, patched);
    if (mistakes.length > 0)
      throw new StatusError(
        500,
        'InternalError',
        `Internal error occurred: ${mistakes.map((one) => one.message).join(', ')}`,
      );
    applyKindDefaults(core, served, patched);
    served.strategy.defaults?.(patched);
  }
  const { name, namespace, uid, creationTimestamp, managedFields, resourceVersion } = object.metadata;
  const kept = { namespace, uid, creationTimestamp, managedFields, resourceVersion, ...(name && { name }) };
  const metadata = Object.fromEntries(
    Object.entries({ ...patched.metadata, ...kept }).filter(([, value]) => value !== undefined),
  );
  const next = { ...patched, apiVersion: object.apiVersion, kind: object.kind, metadata };
  if (Bun.deepEquals(next, object, false)) return false;
  for (const key of Object.keys(object)) delete object[key];
  Object.assign(object, next);
  return true;
}
