import {
  type Amounts,
  type Container,
  compareQuantities,
  errors,
  type LimitRange,
  limitRangeKind,
  type PersistentVolumeClaim,
  type Pod,
  parseNano,
  podTotals,
  type Quantity,
} from '#api';
import type { AdmissionHook, AdmissionRequest, Reader } from '../contract.ts';

const annotation = 'kubernetes.io/limit-ranger';
type Item = NonNullable<NonNullable<LimitRange['spec']>['limits']>[number];
type List = Readonly<Record<string, Quantity>> | undefined;

/** Containers get the namespace's default requests and limits; pods and claims are held to its bounds. */
export const limitRanger = (reader: Reader): AdmissionHook => ({
  name: 'LimitRanger',
  mutate(request) {
    const { kind, operation, subresource, object, namespace } = request;
    if (kind.group || kind.plural !== 'pods' || operation !== 'CREATE' || subresource || !object) return;
    for (const range of reader.list(limitRangeKind, namespace)) setDefaults(object as unknown as Pod, range);
  },
  validate(request) {
    const checked = checkedObject(request);
    if (!checked) return;
    const mistakes: string[] = [];
    for (const range of reader.list(limitRangeKind, request.namespace))
      for (const item of range.spec?.limits ?? []) mistakes.push(...checked(item));
    if (mistakes.length === 0) return;
    const text = mistakes.length === 1 ? mistakes[0]! : `[${mistakes.join(', ')}]`;
    throw errors.forbidden(request.kind.plural, request.name, text);
  },
});

function checkedObject(request: AdmissionRequest): ((item: Item) => string[]) | undefined {
  const { kind, operation, subresource, object } = request;
  if (kind.group || !object || operation === 'DELETE') return undefined;
  if (kind.plural === 'pods') {
    const asked = operation === 'CREATE' ? !subresource : subresource === 'resize';
    return asked ? (item) => checkPod(object as unknown as Pod, item) : undefined;
  }
  if (kind.plural !== 'persistentvolumeclaims' || subresource) return undefined;
  const requests = (object as unknown as PersistentVolumeClaim).spec?.resources?.requests;
  return (item) => (item.type === 'PersistentVolumeClaim' ? checkClaim(requests, item) : []);
}

function setDefaults(pod: Pod, range: Readonly<LimitRange>): void {
  const limits: Amounts = {};
  const requests: Amounts = {};
  for (const item of range.spec?.limits ?? []) {
    if (item.type !== 'Container') continue;
    Object.assign(requests, item.defaultRequest);
    Object.assign(limits, item.default);
  }
  const notes = [
    ...(pod.spec?.containers ?? []).flatMap((container) => fill(container, 'container', requests, limits)),
    ...(pod.spec?.initContainers ?? []).flatMap((container) => fill(container, 'init container', requests, limits)),
  ];
  if (notes.length === 0) return;
  const metadata = (pod.metadata ??= {});
  metadata.annotations = { ...metadata.annotations, [annotation]: `LimitRanger plugin set: ${notes.join('; ')}` };
}
function fill(container: Container, word: string, requests: Amounts, limits: Amounts): string[] {
  const resources = (container.resources ??= {});
  const notes: string[] = [];
  const apply = (list: 'requests' | 'limits', usual: Amounts, what: string) => {
    const missing = Object.keys(usual).filter((name) => resources[list]?.[name] === undefined);
    if (missing.length === 0) return;
    resources[list] = { ...resources[list], ...Object.fromEntries(missing.map((name) => [name, usual[name]!])) };
    notes.push(`${missing.sort().join(', ')} ${what} for ${word} ${container.name}`);
  };
  apply('requests', requests, 'request');
  apply('limits', limits, 'limit');
  return notes;
}

function checkPod(pod: Readonly<Pod>, item: Readonly<Item>): string[] {
  if (item.type === 'Container')
    return [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])].flatMap(({ resources }) =>
      checkAmounts(item, resources?.requests, resources?.limits),
    );
  return item.type === 'Pod' ? checkAmounts(item, podTotals(pod, 'requests'), podTotals(pod, 'limits')) : [];
}

function checkAmounts(item: Readonly<Item>, requests: List, limits: List): string[] {
  const found: string[] = [];
  const each = (list: List, check: (name: string, bound: Quantity) => string | undefined) => {
    for (const [name, bound] of Object.entries(list ?? {})) {
      const mistake = check(name, bound);
      if (mistake) found.push(mistake);
    }
  };
  each(item.min, (name, bound) => belowMin(item.type, name, bound, requests?.[name], limits?.[name]));
  each(item.max, (name, bound) => aboveMax(item.type, name, bound, requests?.[name], limits?.[name]));
  each(item.maxLimitRequestRatio, (name, bound) => ratio(item.type, name, bound, requests?.[name], limits?.[name]));
  return found;
}

function belowMin(type: string, name: string, bound: Quantity, request?: Quantity, limit?: Quantity) {
  const text = `minimum ${name} usage per ${type} is ${bound}`;
  if (request === undefined) return `${text}.  No request is specified`;
  if (compareQuantities(request, bound) < 0) return `${text}, but request is ${request}`;
  return limit !== undefined && compareQuantities(limit, bound) < 0 ? `${text}, but limit is ${limit}` : undefined;
}
function aboveMax(type: string, name: string, bound: Quantity, request?: Quantity, limit?: Quantity) {
  const text = `maximum ${name} usage per ${type} is ${bound}`;
  if (limit === undefined) return `${text}.  No limit is specified`;
  if (compareQuantities(limit, bound) > 0) return `${text}, but limit is ${limit}`;
  return request !== undefined && compareQuantities(request, bound) > 0
    ? `${text}, but request is ${request}`
    : undefined;
}
function ratio(type: string, name: string, bound: Quantity, request?: Quantity, limit?: Quantity) {
  const text = `${name} max limit to request ratio per ${type} is ${bound}`;
  const [asked, most] = [Number(parseNano(request ?? '0')), Number(parseNano(limit ?? '0'))];
  if (!asked) return `${text}, but no request is specified or request is 0`;
  if (!most) return `${text}, but no limit is specified or limit is 0`;
  const found = most / asked;
  return found > Number(parseNano(bound)) / 1e9 ? `${text}, but provided ratio is ${found.toFixed(6)}` : undefined;
}
function checkClaim(requests: List, item: Readonly<Item>): string[] {
  const found: string[] = [];
  for (const [name, bound] of Object.entries(item.min ?? {})) {
    const mistake = belowMin(item.type, name, bound, requests?.[name]);
    if (mistake) found.push(mistake);
  }
  for (const [name, bound] of Object.entries(item.max ?? {})) {
    const text = `maximum ${name} usage per ${item.type} is ${bound}`;
    const request = requests?.[name];
    if (request === undefined) found.push(`${text}.  No request is specified`);
    else if (compareQuantities(request, bound) > 0) found.push(`${text}, but request is ${request}`);
  }
  return found;
}
