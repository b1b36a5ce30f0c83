import {
  errors,
  type Kind,
  StatusError,
  type ValidatingAdmissionPolicy,
  type ValidatingAdmissionPolicyBinding,
  validatingAdmissionPolicyBindingKind,
  validatingAdmissionPolicyKind,
} from '#api';
import type { AdmissionHook, AdmissionRequest } from '../../contract.ts';
import { type Core, resourceText } from '../../core.ts';
import { isExempt } from './matching.ts';
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
import { type Shown, subjectOf } from './subject.ts';

type Spec = NonNullable<ValidatingAdmissionPolicy['spec']>;
type BindingSpec = NonNullable<ValidatingAdmissionPolicyBinding['spec']>;
interface CompiledRules {
  readonly validations: readonly {
    readonly rule: Compiled;
    readonly text?: Compiled;
    readonly message?: string;
    readonly reason?: string;
  }[];
}
type Known = Policy<Spec, BindingSpec, CompiledRules>;
const messageBytesMax = 5 * 1024;
const codes: Readonly<Record<string, number>> = {
  Forbidden: 403,
  Unauthorized: 401,
  RequestEntityTooLarge: 413,
  Invalid: 422,
};

/** Policies in CEL: every one that is bound is asked, and the first that denies is the answer. */
export function validatingPolicies(core: () => Core): AdmissionHook {
  const concerned = policiesFor(
    core,
    {
      policy: validatingAdmissionPolicyKind as Kind<ValidatingAdmissionPolicy>,
      binding: validatingAdmissionPolicyBindingKind as Kind<ValidatingAdmissionPolicyBinding>,
    },
    (spec: Spec, scope): CompiledRules => ({
      validations: (spec.validations ?? []).map(({ expression, message, messageExpression, reason }) => ({
        rule: compiledOf(expression, scope),
        text: messageExpression ? compiledOf(messageExpression, { ...scope, authorizer: false }) : undefined,
        message,
        reason,
      })),
    }),
  );
  const validate = (request: AdmissionRequest): Promise<void> | undefined => {
    const policies = concerned(request);
    return policies && validateBy(core(), policies, request);
  };
  return { name: 'ValidatingAdmissionPolicy', validate, connect: validate };
}

async function validateBy(core: Core, policies: readonly Known[], request: AdmissionRequest): Promise<void> {
  const shown = subjectOf(core, request);
  if (isExempt(shown.target)) return;
  const denials: Denial[] = [];
  for (const policy of policies) denials.push(...(await denialsOf(core, policy, shown)));
  const first = denials[0];
  if (!first) return;
  const by = first.binding === undefined ? '' : ` with binding '${first.binding}'`;
  const message = `ValidatingAdmissionPolicy '${first.policy}'${by} denied request: ${first.message}`;
  const { message: whole, details } = errors.forbidden(resourceText(request.kind), shown.name, message);
  const reason = first.reason ?? 'Invalid';
  throw new StatusError(codes[reason] ?? 422, reason, whole, { ...details, causes: [{ message }] });
}

async function denialsOf(core: Core, policy: Known, shown: Shown): Promise<Denial[]> {
  const { spec, compiled, name } = policy;
  const isClosed = spec.failurePolicy !== 'Ignore';
  const denials: Denial[] = [];
  const misconfigured = (error: unknown, binding?: string) => {
    const why = asMisconfigured(error, binding);
    if (isClosed) denials.push({ policy: name, binding: why.binding, message: why.message });
  };
  let target: ReturnType<typeof policyTarget>;
  try {
    target = policyTarget(core, spec, shown);
  } catch (error) {
    misconfigured(error);
  }
  if (!target) return denials;
  for (const binding of policy.bindings) {
    try {
      if (!bindingMatches(core, binding.spec, shown)) continue;
      const invocations = await invocationsOf(core, spec, compiled, binding, shown, target);
      for (const one of invocations)
        for (const decision of decide(core, policy, one)) {
          const actions = binding.spec.validationActions ?? [];
          if (actions.includes('Deny')) denials.push({ policy: name, binding: binding.name, ...decision });
          if (actions.includes('Warn'))
            shown.request.warn(
              `Validation failed for ValidatingAdmissionPolicy '${name}' with binding '${binding.name}': ${decision.message}`,
            );
        }
    } catch (error) {
      misconfigured(error, binding.name);
    }
  }
  return denials;
}

function decide(
  core: Core,
  { spec, compiled }: Known,
  invocation: Invocation,
): { readonly message: string; readonly reason?: string }[] {
  const isClosed = spec.failurePolicy !== 'Ignore';
  const met = isMet(core, spec, compiled, invocation);
  if (typeof met === 'string') return isClosed ? [{ message: met }] : [];
  if (!met) return [];
  return compiled.validations.flatMap(({ rule, text, message, reason }) => {
    const outcome = evaluate(rule, invocation);
    if ('error' in outcome) return isClosed ? [{ message: outcome.error }] : [];
    if (outcome.value === true) return [];
    const said = text && evaluate(text, invocation);
    const words = said && 'value' in said && typeof said.value === 'string' ? said.value.trim() : '';
    const usable = words !== '' && !words.includes('\n') && Buffer.byteLength(words) <= messageBytesMax;
    return [{ message: usable ? words : message?.trim() || `failed expression: ${rule.source.trim()}`, reason }];
  });
}
