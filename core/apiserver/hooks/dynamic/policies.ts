import {
  type Kind,
  type KubeObject,
  type LabelSelector,
  type MatchCondition,
  type MatchResources,
  matchesLabels,
  type ParamKind,
  type ParamRef,
  selectorOf,
} from '#api';
import { messageOf } from '#base';
import { cel } from '#sdk';
import type { AdmissionRequest, AnyObject } from '../../contract.ts';
import type { Core } from '../../core.ts';
import { type CompiledConditions, compileConditions, conditionsHold } from './conditions.ts';
import { admissionEnvironment, type Input, type Scope, valuesOf, variableTypes } from './expressions.ts';
import { chosenByMatch, type Target } from './matching.ts';
import { reviewRequest } from './review.ts';
import { inForm, type Shown } from './subject.ts';
import { isOwnWrite } from './webhooks.ts';

/** What policies of both sorts share: which are in force, with which parameters, and their variables. */

export const evaluationCostMax = 10_000_000; // in upstream's units, of one policy and one binding
const callCostMax = 1_000_000;

export interface PolicySpec {
  readonly failurePolicy?: string;
  readonly matchConstraints?: MatchResources;
  readonly matchConditions?: readonly MatchCondition[];
  readonly paramKind?: ParamKind;
  readonly variables?: readonly { readonly name: string; readonly expression: string }[];
}
export interface BindingSpec {
  readonly policyName?: string;
  readonly paramRef?: ParamRef;
  readonly matchResources?: MatchResources;
}
type Named<S> = { readonly metadata?: { readonly name?: string }; readonly spec?: S };
export interface Policy<P extends PolicySpec, B extends BindingSpec, C> {
  readonly name: string;
  readonly spec: P;
  readonly compiled: C & CompiledPolicy;
  readonly bindings: readonly { readonly name: string; readonly spec: B }[];
}
export interface CompiledPolicy {
  readonly conditions: CompiledConditions | undefined;
  readonly variables: readonly CompiledVariable[];
}
export interface CompiledVariable {
  readonly name: string;
  readonly expression?: cel.Expression;
  readonly error?: string;
}

/** Why a policy refuses, or could not be asked. */
export interface Denial {
  readonly policy: string;
  readonly binding?: string;
  readonly message: string;
  readonly reason?: string;
}

/** Those of one sort, once the server is there to be asked; undefined: none of them concerns this write. */
export function policiesFor<P extends PolicySpec, B extends BindingSpec, C>(
  core: () => Core,
  kinds: { readonly policy: Kind<Named<P>>; readonly binding: Kind<Named<B>> },
  compile: (spec: P, scope: Scope) => C,
): (request: AdmissionRequest) => readonly Policy<P, B, C>[] | undefined {
  let policies: Policies<P, B, C> | undefined;
  return (request) => {
    policies ??= new Policies(core(), kinds, compile);
    return policies.all.length === 0 || isOwnWrite(request) ? undefined : policies.all;
  };
}

/** Policies that have a binding, by name; made anew when one of either changes. */
class Policies<P extends PolicySpec, B extends BindingSpec, C> {
  readonly #policies = new Map<string, { readonly spec: P; compiled?: C & CompiledPolicy }>();
  readonly #bindings = new Map<string, B>();
  #all: readonly Policy<P, B, C>[] | undefined;
  constructor(
    core: Core,
    kinds: { readonly policy: Kind<Named<P>>; readonly binding: Kind<Named<B>> },
    private readonly compile: (spec: P, scope: Scope) => C,
  ) {
    this.#follow(core, kinds.policy, this.#policies, (spec) => ({ spec }));
    this.#follow(core, kinds.binding, this.#bindings, (spec) => spec);
  }
  #follow<S, V>(core: Core, kind: Kind<Named<S>>, onto: Map<string, V>, kept: (spec: S) => V): void {
    core.reader.onChange?.(kind, (next, previous) => {
      const name = (next ?? previous)?.metadata?.name ?? '';
      if (next?.spec) onto.set(name, kept(next.spec));
      else onto.delete(name);
      this.#all = undefined;
    });
  }
  get all(): readonly Policy<P, B, C>[] {
    if (this.#all) return this.#all;
    const bound = Map.groupBy([...this.#bindings].sort(byName), ([, { policyName }]) => policyName ?? '');
    const all: Policy<P, B, C>[] = [];
    for (const [name, known] of [...this.#policies].sort(byName)) {
      const bindings = bound.get(name)?.map(([binding, spec]) => ({ name: binding, spec }));
      if (!bindings) continue;
      known.compiled ??= this.#compiled(known.spec);
      all.push({ name, spec: known.spec, compiled: known.compiled, bindings });
    }
    this.#all = all;
    return all;
  }
  #compiled(spec: P): C & CompiledPolicy {
    const params = spec.paramKind !== undefined;
    const scope: Scope = { authorizer: true, params };
    const types = variableTypes(spec.variables ?? [], scope);
    const declared = [...types];
    return {
      ...this.compile(spec, { ...scope, variables: types }),
      conditions: spec.matchConditions?.length ? compileConditions(spec.matchConditions, scope) : undefined,
      variables: (spec.variables ?? []).map(({ name, expression }, index) => ({
        name,
        ...compiledOf(expression, { ...scope, variables: new Map(declared.slice(0, index)) }),
      })),
    };
  }
}
const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1);

export interface Compiled {
  readonly source: string;
  readonly expression?: cel.Expression;
  readonly error?: string;
}
export function compiledOf(source: string, scope: Scope): Compiled {
  try {
    return { source, expression: admissionEnvironment(scope).compile(source) };
  } catch (error) {
    return { source, error: `compilation error: compilation failed: ${messageOf(error)}` };
  }
}

/** What a policy with one binding and one parameter object decides on. */
export interface Invocation {
  readonly input: Input;
  readonly values: Record<string, cel.Value>;
  readonly budget: { left: number };
}
/** Why a policy cannot be asked, under the name of its binding when that is to blame. */
export class Misconfigured extends Error {
  constructor(
    what: 'policy' | 'binding',
    readonly binding: string | undefined,
    why: string,
  ) {
    super(`failed to configure ${what}: ${why}`);
  }
}

/** As a failure of a configuration, whatever was thrown. */
export const asMisconfigured = (error: unknown, binding?: string): Misconfigured =>
  error instanceof Misconfigured
    ? error
    : new Misconfigured(binding === undefined ? 'policy' : 'binding', binding, messageOf(error));

/** The form in which a policy sees the request; undefined: it has nothing to do with it. */
export function policyTarget(core: Core, { matchConstraints }: PolicySpec, shown: Shown): Target | undefined {
  return chosenByMatch(matchConstraints, shown, core.reader);
}
export const bindingMatches = (core: Core, { matchResources }: BindingSpec, shown: Shown): boolean =>
  chosenByMatch(matchResources, shown, core.reader) !== undefined;

/** One for each parameter object; none where there is no such object and that is allowed. Throws Misconfigured. */
export async function invocationsOf(
  core: Core,
  { paramKind }: PolicySpec,
  compiled: CompiledPolicy,
  binding: { readonly name: string; readonly spec: BindingSpec },
  shown: Shown,
  target: Target,
): Promise<Invocation[]> {
  const { request } = shown;
  const all = paramsOf(core, paramKind, binding, shown);
  const [object, old] = [
    await inForm(core, request, shown.object, target),
    await inForm(core, request, shown.current, target),
  ];
  const kind = shown.kindOf(target);
  return all.map((params) => {
    const input: Input = { shown, target: kind, object, old, request: reviewRequest(request, shown, kind), params };
    const budget = { left: evaluationCostMax };
    const values = valuesOf(core, input);
    return { input, budget, values: withVariables(compiled.variables, values, budget) };
  });
}

function paramsOf(
  core: Core,
  paramKind: ParamKind | undefined,
  { name, spec: { paramRef } }: { readonly name: string; readonly spec: BindingSpec },
  shown: Shown,
): readonly (AnyObject | null)[] {
  if (!paramKind) return [null];
  const { apiVersion = '', kind = '' } = paramKind;
  const served = core.kinds.byKind(apiVersion, kind);
  if (!served)
    throw new Misconfigured(
      'policy',
      undefined,
      `failed to find resource referenced by paramKind: '${apiVersion}, Kind=${kind}'`,
    );
  if (!paramRef) return [null];
  const wrong = (why: string) => new Misconfigured('binding', name, why);
  const isNamespaced = served.kind.namespaced;
  if (!isNamespaced && paramRef.namespace)
    throw wrong('paramRef.namespace must not be provided for a cluster-scoped `paramKind`');
  const namespace = isNamespaced ? paramRef.namespace || shown.namespace : '';
  if (isNamespaced && !namespace)
    throw wrong('cannot use namespaced paramRef in policy binding that matches cluster-scoped resources');
  const found = (
    paramRef.name
      ? [core.reader.get(served.kind as Kind<KubeObject>, namespace, paramRef.name)]
      : core.reader.list(served.kind as Kind<KubeObject>, namespace).filter(selectedBy(paramRef.selector))
  ) as (AnyObject | undefined)[];
  const params = found.filter((one) => one !== undefined);
  if (params.length === 0 && paramRef.parameterNotFoundAction === 'Deny')
    throw wrong('no params found for policy binding with `Deny` parameterNotFoundAction');
  return params;
}
function selectedBy(selector: LabelSelector | undefined): (object: Readonly<KubeObject>) => boolean {
  const wanted = selectorOf(selector ?? {});
  return (object) => matchesLabels(wanted, object.metadata.labels ?? {});
}

/** `variables.x` is found out when it is first asked for, and once. */
function withVariables(
  variables: readonly CompiledVariable[],
  values: Record<string, cel.Value>,
  budget: { left: number },
): Record<string, cel.Value> {
  const holder: Record<string, cel.Value> = {};
  const all: Record<string, cel.Value> = { ...values, variables: holder };
  for (const { name, expression, error } of variables) {
    let known: { readonly value: cel.Value } | undefined;
    Object.defineProperty(holder, name, {
      enumerable: true,
      get() {
        if (known) return known.value;
        if (!expression) throw cel.failure(`composited variable ${JSON.stringify(name)} fails to compile: ${error}`);
        try {
          const { value, cost } = expression.evaluate(all, Math.min(budget.left, callCostMax));
          budget.left -= cost;
          known = { value };
          return value;
        } catch (failed) {
          throw cel.failure(`composited variable ${JSON.stringify(name)} fails to evaluate: ${messageOf(failed)}`);
        }
      },
    });
  }
  return all;
}

export type Outcome = { readonly value: cel.Value } | { readonly error: string };
export function evaluate({ source, expression, error }: Compiled, { values, budget }: Invocation): Outcome {
  if (!expression) return { error: error! };
  const spent = 'validation failed due to running out of cost budget, no further validation rules will be run';
  if (budget.left <= 0) return { error: spent };
  try {
    const { value, cost } = expression.evaluate(values, Math.min(budget.left, callCostMax));
    budget.left -= cost;
    return { value };
  } catch (failed) {
    return { error: `expression '${source}' resulted in error: ${messageOf(failed)}` };
  }
}

/** True: the policy is about this; a text: that could not be found out, and the policy is not to be passed over. */
export const isMet = (
  core: Core,
  { failurePolicy }: PolicySpec,
  { conditions }: CompiledPolicy,
  { input, values }: Invocation,
): boolean | string => !conditions || conditionsHold(core, conditions, { ...input, failurePolicy }, values);
