import { fieldErrors, type KubeObject, type LimitRange, limitRangeKind, parseNano, type Quantity } from '#api';
import { checkContainerResourceName } from './pod/resources.ts';
import { createdColumns } from './rules/columns.ts';
import { qualifiedName } from './rules/names.ts';
import { plainStrategy } from './rules/plain.ts';
import { checkName, type Mistakes } from './rules/values.ts';

type Item = NonNullable<NonNullable<LimitRange['spec']>['limits']>[number];
const types = ['Pod', 'Container', 'PersistentVolumeClaim'];
type Amounts = Readonly<Record<string, Quantity>>;

function checkType(mistakes: Mistakes, field: string, type: string): void {
  const before = mistakes.length;
  checkName(mistakes, field, type, qualifiedName);
  if (mistakes.length === before && !type.includes('/') && !types.includes(type))
    mistakes.push(fieldErrors.invalid(field, type, 'must be a standard limit type or fully qualified'));
}

/** Which of two amounts of one resource may not exceed the other; the mistake is reported at `at` with `shown`. */
function checkOrder(mistakes: Mistakes, at: string, name: string, item: Readonly<Item>): void {
  const of = (list: Amounts | undefined): Quantity | undefined => list?.[name];
  const [min, max] = [of(item.min), of(item.max)];
  const [usual, asked] = item.type === 'Pod' ? [] : [of(item.default), of(item.defaultRequest)];
  const more = (a: Quantity | undefined, b: Quantity | undefined): boolean =>
    a !== undefined && b !== undefined && (parseNano(a) ?? 0n) > (parseNano(b) ?? 0n);
  const wrong = (list: string, value: Quantity | undefined, why: string) =>
    mistakes.push(fieldErrors.invalid(`${at}.${list}[${name}]`, value, why));
  if (more(min, max)) wrong('min', min, `min value ${min} is greater than max value ${max}`);
  if (more(min, asked))
    wrong('defaultRequest', asked, `min value ${min} is greater than default request value ${asked}`);
  if (more(asked, max))
    wrong('defaultRequest', asked, `default request value ${asked} is greater than max value ${max}`);
  if (more(asked, usual))
    wrong('defaultRequest', asked, `default request value ${asked} is greater than default limit value ${usual}`);
  if (more(min, usual)) wrong('default', min, `min value ${min} is greater than default value ${usual}`);
  if (more(usual, max)) wrong('default', max, `default value ${usual} is greater than max value ${max}`);
  const ratio = of(item.maxLimitRequestRatio);
  if (ratio === undefined) return;
  const wrongRatio = (why: string) => wrong('maxLimitRequestRatio', ratio, why);
  if (more('1', ratio)) wrongRatio(`ratio ${ratio} is less than 1`);
  if (min === undefined || max === undefined) return;
  const limit = Number(parseNano(max)) / Number(parseNano(min));
  if (Number(parseNano(ratio)) / 1e9 > limit)
    wrongRatio(`ratio ${ratio} is greater than max/min = ${limit.toFixed(6)}`);
}

export const limitRangeStrategy = plainStrategy<LimitRange & KubeObject>({
  kind: limitRangeKind,
  createdByUpdate: true,
  defaults({ spec }) {
    for (const item of spec?.limits ?? []) {
      if (item.type !== 'Container') continue;
      item.default = { ...item.max, ...item.default };
      item.defaultRequest = { ...item.min, ...item.default, ...item.defaultRequest };
      // An empty map is not shown.
      if (Object.keys(item.default).length === 0) delete item.default;
      if (Object.keys(item.defaultRequest).length === 0) delete item.defaultRequest;
    }
  },
  check(mistakes, { spec }) {
    const seen = new Set<string>();
    for (const [index, item] of (spec?.limits ?? []).entries()) {
      const at = `spec.limits[${index}]`;
      checkType(mistakes, `${at}.type`, item.type);
      if (seen.has(item.type)) mistakes.push(fieldErrors.duplicate(`${at}.type`, item.type));
      seen.add(item.type);
      const lists = ['max', 'min', 'default', 'defaultRequest', 'maxLimitRequestRatio'] as const;
      const names = new Set<string>();
      for (const list of lists) {
        const amounts = Object.keys(item[list] ?? {});
        if (item.type === 'Pod' && (list === 'default' || list === 'defaultRequest')) {
          if (amounts.length)
            mistakes.push(fieldErrors.forbidden(`${at}.${list}`, "may not be specified when `type` is 'Pod'"));
          continue;
        }
        for (const name of amounts) {
          if (item.type === 'Pod' || item.type === 'Container')
            checkContainerResourceName(mistakes, `${at}.${list}[${name}]`, name);
          else checkName(mistakes, `${at}.${list}[${name}]`, name, qualifiedName);
          names.add(name);
        }
      }
      if (item.type === 'PersistentVolumeClaim' && !item.min?.['storage'] && !item.max?.['storage'])
        mistakes.push(
          fieldErrors.required(
            `${at}.limits`,
            'either minimum or maximum storage value is required, but neither was provided',
          ),
        );
      for (const name of names) checkOrder(mistakes, at, name, item);
    }
  },
  columns: createdColumns,
});
