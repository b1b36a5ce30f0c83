import { fieldErrors, type MutatingWebhook, type RuleWithOperations, type ValidatingWebhook } from '#api';
import { expressionMistake, type Scope } from '../hooks/dynamic/expressions.ts';
import { checkSelector } from './pod/placement.ts';
import { dns1035Label, fullyQualifiedName, qualifiedName } from './rules/names.ts';
import { checkName, checkOneOf, checkPort, type Mistakes } from './rules/values.ts';

type Webhook = MutatingWebhook | ValidatingWebhook;
const versions = ['v1', 'v1beta1'];
const conditionsMax = 64;

export function defaultWebhook(hook: Webhook): void {
  hook.failurePolicy ??= 'Fail';
  hook.matchPolicy ??= 'Equivalent';
  hook.namespaceSelector ??= {};
  hook.objectSelector ??= {};
  hook.timeoutSeconds ??= 10;
  for (const rule of hook.rules ?? []) rule.scope ??= '*';
  if (hook.clientConfig?.service) hook.clientConfig.service.port ??= 443;
}

export function checkMatchRule(mistakes: Mistakes, at: string, rule: Readonly<RuleWithOperations>): void {
  const operations = ['*', 'CONNECT', 'CREATE', 'DELETE', 'UPDATE'];
  if (!rule.operations?.length) mistakes.push(fieldErrors.required(`${at}.operations`));
  const alone = (field: string, given: readonly string[] | undefined, what: string) => {
    if (given && given.length > 1 && given.includes('*'))
      mistakes.push(fieldErrors.invalid(`${at}.${field}`, given, `if '*' is present, must not specify other ${what}`));
  };
  alone('operations', rule.operations, 'operations');
  for (const [index, operation] of (rule.operations ?? []).entries())
    checkOneOf(mistakes, `${at}.operations[${index}]`, operation, operations);
  if (!rule.apiGroups?.length) mistakes.push(fieldErrors.required(`${at}.apiGroups`));
  alone('apiGroups', rule.apiGroups, 'API groups');
  if (!rule.apiVersions?.length) mistakes.push(fieldErrors.required(`${at}.apiVersions`));
  alone('apiVersions', rule.apiVersions, 'API versions');
  for (const [index, version] of (rule.apiVersions ?? []).entries())
    if (version === '') mistakes.push(fieldErrors.required(`${at}.apiVersions[${index}]`));
  checkResources(mistakes, `${at}.resources`, rule.resources ?? []);
  checkOneOf(mistakes, `${at}.scope`, rule.scope, ['*', 'Cluster', 'Namespaced']);
}

function checkResources(mistakes: Mistakes, field: string, resources: readonly string[]): void {
  if (resources.length === 0) mistakes.push(fieldErrors.required(field));
  const wholeResources = new Set<string>();
  const wholeParts = new Set<string>();
  for (const [index, text] of resources.entries()) {
    if (text === '') mistakes.push(fieldErrors.required(`${field}[${index}]`));
    const slash = text.indexOf('/');
    if (slash < 0) continue;
    const [resource, part] = [text.slice(0, slash), text.slice(slash + 1)];
    const wrong = (present: string) =>
      mistakes.push(
        fieldErrors.invalid(`${field}[${index}]`, text, `if '${present}' is present, must not specify ${text}`),
      );
    if (wholeResources.has(resource)) wrong(`${resource}/*`);
    if (wholeParts.has(part)) wrong(`*/${part}`);
    if (part === '*') wholeResources.add(resource);
    if (resource === '*') wholeParts.add(part);
  }
  if (resources.length > 1 && resources.includes('*/*'))
    mistakes.push(fieldErrors.invalid(field, resources, "if '*/*' is present, must not specify other resources"));
  const plain = resources.filter((text) => text && !text.includes('/')).at(-1);
  if (resources.includes('*') && plain !== undefined && plain !== '*')
    mistakes.push(
      fieldErrors.invalid(field, resources, "if '*' is present, must not specify other resources without subresources"),
    );
}

function checkUrl(mistakes: Mistakes, field: string, text: string): void {
  const form = '; desired format: https://host[/path]';
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    mistakes.push(fieldErrors.invalid(field, '', `'https' is the only allowed URL scheme${form}`));
    mistakes.push(fieldErrors.invalid(field, '', `host must be specified${form}`));
    return;
  }
  const wrong = (value: string, why: string) => mistakes.push(fieldErrors.invalid(field, value, why));
  if (url.protocol !== 'https:') wrong(url.protocol.slice(0, -1), `'https' is the only allowed URL scheme${form}`);
  if (!url.host) wrong('', `host must be specified${form}`);
  if (url.username) wrong(url.username, 'user information is not permitted in the URL');
  if (url.hash) wrong(url.hash.slice(1), 'fragments are not permitted in the URL');
  if (url.search) wrong(url.search.slice(1), 'query parameters are not permitted in the URL');
}

function checkClient(mistakes: Mistakes, at: string, config: Readonly<Webhook['clientConfig']>): void {
  const { url, service } = config ?? {};
  if ((url === undefined) === (service === undefined)) {
    mistakes.push(fieldErrors.required(at, 'exactly one of url or service is required'));
    return;
  }
  if (url !== undefined) checkUrl(mistakes, `${at}.url`, url);
  if (!service) return;
  // Upstream passes these two in the other order, so that each is reported under the other's name.
  if (!service.namespace) mistakes.push(fieldErrors.required(`${at}.service.name`));
  if (!service.name) mistakes.push(fieldErrors.required(`${at}.service.namespace`));
  const port: Mistakes = [];
  checkPort(port, '', service.port ?? 443);
  if (port.length > 0)
    mistakes.push(
      fieldErrors.invalid(
        `${at}.service.port`,
        service.port,
        'port is not valid: must be between 1 and 65535, inclusive',
      ),
    );
  const path = service.path ?? '';
  if (path && path !== '/' && !path.startsWith('/'))
    mistakes.push(fieldErrors.invalid(`${at}.service.path`, path, "must start with a '/'"));
}

/** `wanted`: names of types; none: any. */
export function checkExpression(
  mistakes: Mistakes,
  at: string,
  expression: string,
  scope: Scope,
  wanted: readonly string[],
): void {
  const mistake = expressionMistake(expression, scope, wanted);
  if (mistake !== undefined) mistakes.push(fieldErrors.invalid(at, expression, mistake));
}

export function checkMatchConditions(
  mistakes: Mistakes,
  at: string,
  conditions: readonly { readonly name: string; readonly expression: string }[] | undefined,
  scope: Scope = { authorizer: true },
): void {
  const count = conditions?.length ?? 0;
  if (count > conditionsMax)
    mistakes.push({
      type: 'FieldValueTooMany',
      field: at,
      message: `Too many: ${count}: must have at most ${conditionsMax} items`,
    });
  const names = new Set<string>();
  for (const [index, { name, expression }] of (conditions ?? []).entries()) {
    if (!expression?.trim()) mistakes.push(fieldErrors.required(`${at}[${index}].expression`));
    else checkExpression(mistakes, `${at}[${index}].expression`, expression, scope, ['bool']);
    if (!name) mistakes.push(fieldErrors.required(`${at}[${index}].name`));
    else checkName(mistakes, `${at}[${index}].name`, name, qualifiedName);
    if (name && names.has(name)) mistakes.push(fieldErrors.duplicate(`${at}[${index}].name`, name));
    names.add(name);
  }
}

export function checkWebhook(mistakes: Mistakes, at: string, hook: Readonly<Webhook>): void {
  if (!hook.name) mistakes.push(fieldErrors.required(`${at}.name`));
  else checkName(mistakes, `${at}.name`, hook.name, fullyQualifiedName);
  for (const [index, rule] of (hook.rules ?? []).entries()) checkMatchRule(mistakes, `${at}.rules[${index}]`, rule);
  checkOneOf(mistakes, `${at}.failurePolicy`, hook.failurePolicy, ['Fail', 'Ignore']);
  checkOneOf(mistakes, `${at}.matchPolicy`, hook.matchPolicy, ['Equivalent', 'Exact']);
  const effects = ['None', 'NoneOnDryRun'];
  if (hook.sideEffects === undefined)
    mistakes.push(fieldErrors.required(`${at}.sideEffects`, `must specify one of ${effects.join(', ')}`));
  else checkOneOf(mistakes, `${at}.sideEffects`, hook.sideEffects, effects);
  const seconds = hook.timeoutSeconds ?? 10;
  if (seconds > 30 || seconds < 1)
    mistakes.push(
      fieldErrors.invalid(`${at}.timeoutSeconds`, seconds, 'the timeout value must be between 1 and 30 seconds'),
    );
  checkSelector(mistakes, `${at}.namespaceSelector`, hook.namespaceSelector);
  checkSelector(mistakes, `${at}.objectSelector`, hook.objectSelector);
  if ('reinvocationPolicy' in hook)
    checkOneOf(mistakes, `${at}.reinvocationPolicy`, hook.reinvocationPolicy, ['IfNeeded', 'Never']);
  checkClient(mistakes, `${at}.clientConfig`, hook.clientConfig);
  checkMatchConditions(mistakes, `${at}.matchConditions`, hook.matchConditions);
  checkReviewVersions(mistakes, `${at}.admissionReviewVersions`, hook.admissionReviewVersions ?? []);
}

function checkReviewVersions(mistakes: Mistakes, field: string, given: readonly string[]): void {
  if (given.length === 0) {
    mistakes.push(fieldErrors.required(field, `must specify one of ${versions.join(', ')}`));
    return;
  }
  for (const [index, version] of given.entries()) {
    if (given.indexOf(version) < index)
      mistakes.push(fieldErrors.invalid(`${field}[${index}]`, version, 'duplicate version'));
    else checkName(mistakes, `${field}[${index}]`, version, dns1035Label);
  }
  if (!given.some((version) => versions.includes(version)))
    mistakes.push(fieldErrors.invalid(field, given, `must include at least one of ${versions.join(', ')}`));
}
