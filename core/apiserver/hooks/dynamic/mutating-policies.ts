import {
  errors,
  type Field,
  type Kind,
  type MutatingAdmissionPolicy,
  type MutatingAdmissionPolicyBinding,
  mutatingAdmissionPolicyBindingKind,
  mutatingAdmissionPolicyKind,
  StatusError,
} from '#api';
import { messageOf } from '#base';
import type { AdmissionHook, AdmissionRequest, AnyObject, JsonObject } from '../../contract.ts';
import { type Core, resourceText } from '../../core.ts';
import { decodeKind, patchTypeOf } from '../../kind-schema.ts';
import { mergeTyped, namedPart, rootShape, type Shape, shapeOf } from '../../patch/typed.ts';
import { isExempt, type Target } from './matching.ts';
import { jsonOf } from './patch-types.ts';
import {
  asMisconfigured,
  bindingMatches,
  type Compiled,
  compiledOf,
  type Denial,
  evaluate,
  type Invocation,
  invocationsOf,
  isMet,
  type Policy,
  policiesFor,
  policyTarget,
} from './policies.ts';
import { fromForm, type Shown, subjectOf } from './subject.ts';
import { replaceObject } from './webhooks.ts';

type Spec = NonNullable<MutatingAdmissionPolicy['spec']>;
type BindingSpec = NonNullable<MutatingAdmissionPolicyBinding['spec']>;
interface CompiledMutations {
  readonly mutations: readonly { readonly isApply: boolean; readonly made: Compiled }[];
}
type Known = Policy<Spec, BindingSpec, CompiledMutations>;
/** Policies in CEL that change what is written: one after the other, and again (`IfNeeded`) when somebody changed it after them. */
export function mutatingPolicies(core: () => Core): AdmissionHook {
  const asked = new WeakMap<object, Set<string>>();
  const concerned = policiesFor(
    core,
    {
      policy: mutatingAdmissionPolicyKind as Kind<MutatingAdmissionPolicy>,
      binding: mutatingAdmissionPolicyBindingKind as Kind<MutatingAdmissionPolicyBinding>,
    },
    (spec: Spec, scope): CompiledMutations => ({
      mutations: (spec.mutations ?? []).map(({ patchType, applyConfiguration, jsonPatch }) => ({
        isApply: patchType === 'ApplyConfiguration',
        made: compiledOf((applyConfiguration ?? jsonPatch)?.expression ?? '', { ...scope, patches: true }),
      })),
    }),
  );
  const mutate = (request: AdmissionRequest): Promise<void> | undefined => {
    const policies = concerned(request);
    return policies && mutateBy(core(), policies, request, asked);
  };
  return { name: 'MutatingAdmissionPolicy', mutate };
}

async function mutateBy(
  core: Core,
  policies: readonly Known[],
  request: AdmissionRequest,
  before: WeakMap<object, Set<string>>,
): Promise<void> {
  if (isExempt(subjectOf(core, request).target) || !request.object) return;
  const { passes } = request;
  const isSecond = passes?.round === 1;
  const again = (passes && before.get(passes)) ?? new Set<string>();
  const willing = new Set<string>();
  const troubles: Denial[] = [];
  for (const policy of policies)
    for (const binding of policy.bindings) {
      const trouble = (error: unknown, reason?: string) => {
        const why = reason
          ? { message: messageOf(error), binding: binding.name }
          : asMisconfigured(error, binding.name);
        if (policy.spec.failurePolicy !== 'Ignore')
          troubles.push({ policy: policy.name, binding: why.binding, message: why.message, reason });
      };
      try {
        for (const one of await relevant(core, policy, binding, request)) {
          const met = isMet(core, policy.spec, policy.compiled, one.invocation);
          if (typeof met === 'string') trouble(met, 'Invalid');
          const id = `${policy.name}/${binding.name}/${one.invocation.input.params?.metadata.name ?? ''}`;
          if (met !== true || (isSecond && !again.has(id))) continue;
          const { isChanged, failures } = await mutateOnce(core, policy, request, one.target, one.invocation);
          for (const failure of failures) trouble(failure, 'Invalid');
          if (isChanged) {
            for (const other of willing) again.add(other);
            if (passes && !isSecond) passes.again = true;
          }
          if (policy.spec.reinvocationPolicy === 'IfNeeded') willing.add(id);
        }
      } catch (error) {
        if (error instanceof StatusError) throw error;
        trouble(error);
      }
    }
  if (passes && !isSecond) before.set(passes, again);
  if (troubles.length > 0) throw refusal(request, troubles);
}

async function relevant(
  core: Core,
  { spec, compiled }: Known,
  binding: Known['bindings'][number],
  request: AdmissionRequest,
): Promise<{ readonly target: Target; readonly invocation: Invocation }[]> {
  const shown: Shown = subjectOf(core, request);
  const target = policyTarget(core, spec, shown);
  if (!target || !bindingMatches(core, binding.spec, shown)) return [];
  const invocations = await invocationsOf(core, spec, compiled, binding, shown, target);
  return invocations.map((invocation) => ({ target, invocation }));
}

/** The mutations of a policy in order; each sees what those before it made. */
async function mutateOnce(
  core: Core,
  { compiled }: Known,
  request: AdmissionRequest,
  target: Target,
  { input, values, budget }: Invocation,
): Promise<{ readonly isChanged: boolean; readonly failures: readonly string[] }> {
  const failures: string[] = [];
  let object = input.object as AnyObject;
  let isChanged = false;
  for (const { isApply, made } of compiled.mutations) {
    const outcome = evaluate(made, { input, values: { ...values, object: object as never }, budget });
    if ('error' in outcome) {
      failures.push(outcome.error);
      continue;
    }
    try {
      const wanted = jsonOf(outcome.value);
      const next = isApply ? laidOver(core, target, object, wanted as JsonObject) : patched(core, object, wanted);
      if (!next) continue;
      if (replaceObject(core, request, await fromForm(core, request, next))) isChanged = true;
      object = next;
    } catch (error) {
      failures.push(messageOf(error));
    }
  }
  return { isChanged, failures };
}

/** Undefined: a test in it failed, and nothing is to happen. */
function patched(core: Core, object: AnyObject, operations: unknown): AnyObject | undefined {
  try {
    return core.patches.applyJsonPatch(object, operations) as AnyObject;
  } catch (error) {
    if ((operations as { op?: unknown }[]).some(({ op }) => op === 'test')) return undefined;
    throw new Error(`JSON Patch: ${messageOf(error)}`);
  }
}

/** An apply configuration over the object, as server-side apply merges them; it may not replace what is one piece. */
function laidOver(core: Core, target: Target, object: AnyObject, config: JsonObject): AnyObject {
  const served = core.kinds.find(target.group, target.version, target.resource);
  if (!served) throw new Error(`Resource kind ${target.kind} not found`);
  const whole = { ...config, apiVersion: object.apiVersion, kind: object.kind };
  const copy = structuredClone({ metadata: {}, ...whole }) as JsonObject;
  const { unknown, errors: mistakes } = decodeKind(core, served, copy);
  const first = unknown[0] !== undefined ? `.${unknown[0]}: field not declared in schema` : mistakes[0]?.message;
  if (first) throw new Error(`error applying patch: failed to convert patch object to typed object: ${first}`);
  const type: string | Field = patchTypeOf(served);
  const atomics = atomicsIn(rootShape(type), config, '');
  if (atomics.length > 0)
    throw new Error(
      `error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: ${atomics.join(', ')}`,
    );
  return mergeTyped(rootShape(type), structuredClone(object), whole) as AnyObject;
}
function atomicsIn(shape: Shape, value: unknown, path: string): string[] {
  if (typeof value !== 'object' || value === null) return [];
  if (shape.kind === 'leaf') return [path];
  if (shape.kind === 'keyed' && Array.isArray(value))
    return value.flatMap((one: unknown, index) => atomicsIn(shapeOf(shape.items), one, `${path}[${index}]`));
  if (shape.kind === 'set' || shape.kind === 'keyed') return [];
  return Object.entries(value).flatMap(([name, inner]) =>
    atomicsIn(namedPart(shape, name).shape, inner, `${path}.${name}`),
  );
}

function refusal(request: AdmissionRequest, troubles: readonly Denial[]): StatusError {
  const texts = troubles.map(({ policy, binding, message }) =>
    binding === undefined
      ? `policy ${JSON.stringify(policy)} denied request: ${message}`
      : `policy '${policy}' with binding '${binding}' denied request: ${message}`,
  );
  const { details } = errors.forbidden(resourceText(request.kind), request.name, '');
  return new StatusError(403, troubles[0]!.reason ?? 'Forbidden', texts[0]!, {
    ...details,
    causes: texts.map((message) => ({ message })),
  });
}
