import { fieldErrors, parseNano, type Quantity, type ResourceRequirements } from '#api';
import { qualifiedName } from '../rules/names.ts';
import { checkName, checkQuantity, type Mistakes } from '../rules/values.ts';

const standard = new Set(['cpu', 'memory', 'ephemeral-storage', 'storage']);
const forContainers = new Set(['cpu', 'memory', 'ephemeral-storage']);
const isHugePages = (name: string): boolean => name.startsWith('hugepages-');
const isNative = (name: string): boolean => !name.includes('/') || name.split('/')[0]!.endsWith('kubernetes.io');
/** Resources that are counted in whole pieces and never lent twice. */
const overcommits = (name: string): boolean => isNative(name) && !isHugePages(name);

export function checkContainerResourceName(mistakes: Mistakes, field: string, name: string): void {
  checkName(mistakes, field, name, qualifiedName);
  if (name.includes('/')) return;
  if (!standard.has(name) && !isHugePages(name))
    mistakes.push(fieldErrors.invalid(field, name, 'must be a standard resource type or fully qualified'));
  if (!forContainers.has(name) && !isHugePages(name))
    mistakes.push(fieldErrors.invalid(field, name, 'must be a standard resource for containers'));
}
export function checkAmount(mistakes: Mistakes, field: string, name: string, value: Quantity): void {
  checkQuantity(mistakes, field, value);
  const whole = !isNative(name) || name === 'pods' || name === 'services';
  if (whole && (parseNano(value) ?? 0n) % 1_000_000_000n !== 0n)
    mistakes.push(fieldErrors.invalid(field, value, 'must be an integer'));
}

export function checkResources(
  mistakes: Mistakes,
  at: string,
  resources: Readonly<ResourceRequirements> | undefined,
): void {
  if (!resources) return;
  const { limits = {}, requests = {} } = resources;
  for (const [name, value] of Object.entries(limits)) {
    const field = `${at}.limits[${name}]`;
    checkContainerResourceName(mistakes, field, name);
    checkAmount(mistakes, field, name, value);
  }
  if (Object.keys(requests).some((name) => limits[name] === undefined && !overcommits(name)))
    mistakes.push(fieldErrors.required(`${at}.limits`, 'Limit must be set for non overcommitable resources'));
  for (const [name, value] of Object.entries(requests)) {
    const field = `${at}.requests[${name}]`;
    checkContainerResourceName(mistakes, field, name);
    checkAmount(mistakes, field, name, value);
    const limit = limits[name];
    if (limit === undefined) continue;
    const [asked, most] = [parseNano(value) ?? 0n, parseNano(limit) ?? 0n];
    if (asked !== most && !overcommits(name))
      mistakes.push(fieldErrors.invalid(`${at}.requests`, value, `must be equal to ${name} limit of ${limit}`));
    else if (asked > most)
      mistakes.push(
        fieldErrors.invalid(`${at}.requests`, value, `must be less than or equal to ${name} limit of ${limit}`),
      );
  }
}
