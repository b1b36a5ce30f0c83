import { fieldErrors } from '#api';
import type { Mistakes } from '../rules/values.ts';

/** `..` anywhere or an absolute path would reach outside the volume. */
export function checkLocalPath(mistakes: Mistakes, field: string, path: string): void {
  if (path.startsWith('/')) mistakes.push(fieldErrors.invalid(field, path, 'must be a relative path'));
  if (path.split('/').includes('..')) mistakes.push(fieldErrors.invalid(field, path, "must not contain '..'"));
}
export function checkFileName(mistakes: Mistakes, field: string, path: string): void {
  checkLocalPath(mistakes, field, path);
  if (path.startsWith('..') && !path.split('/').includes('..'))
    mistakes.push(fieldErrors.invalid(field, path, "must not start with '..'"));
}
