import type { FieldError } from '#api';
import type { AnyKind, AnyObject, AnyStrategy } from './contract.ts';

/** For kinds without rules of their own: the status belongs to its subresource, generation follows the spec. */
export function defaultStrategy(kind: AnyKind, subresources: readonly string[] = ['status']): AnyStrategy {
  const hasStatus = subresources.includes('status');
  return {
    kind,
    subresources,
    prepareForCreate(draft) {
      if (hasStatus) delete (draft as AnyObject)['status'];
      draft.metadata.generation = 1;
    },
    prepareForUpdate(next, current, request) {
      const [target, source] = [next as AnyObject, current as AnyObject];
      if (request.subresource === 'status') target['spec'] = source['spec'];
      else if (hasStatus) restore(target, source, 'status');
      if (JSON.stringify(target['spec']) !== JSON.stringify(source['spec'])) {
        next.metadata.generation = (current.metadata.generation ?? 0) + 1;
      }
    },
    validate: (): FieldError[] => [],
  };
}

function restore(target: AnyObject, source: AnyObject, field: string): void {
  if (source[field] === undefined) delete target[field];
  else target[field] = source[field];
}
