import { type FieldError, fieldErrors, invalidObject } from '#api';

/** What writes ask in their query; checked in upstream's order and words, before the body is read. */
type Verb = 'create' | 'update' | 'patch';
const kinds: Readonly<Record<Verb, string>> = {
  create: 'CreateOptions',
  update: 'UpdateOptions',
  patch: 'PatchOptions',
};
const managerBytesMax = 128;
const validationModes = ['', 'Ignore', 'Strict', 'Warn'];

/** Throws 422. `media` is the content type of a patch. */
export function checkWriteOptions(verb: Verb, query: URLSearchParams, media = ''): void {
  const mistakes: FieldError[] = [];
  const manager = query.get('fieldManager') ?? '';
  if (verb === 'patch') {
    const isApply = media.startsWith('application/apply-patch');
    if (isApply && !manager) mistakes.push(fieldErrors.required('fieldManager', 'is required for apply patch'));
    if (!isApply && query.has('force'))
      mistakes.push(fieldErrors.forbidden('force', 'may not be specified for non-apply patch'));
  }
  if (Buffer.byteLength(manager) > managerBytesMax) mistakes.push(fieldErrors.tooLong('fieldManager', managerBytesMax));
  for (const [position, char] of [...manager.slice(0, managerBytesMax)].entries())
    if (/[\p{C}\p{Zl}\p{Zp}]/u.test(char)) {
      const code = char.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0');
      mistakes.push(
        fieldErrors.invalid('fieldManager', manager, `invalid character U+${code} (at position ${position})`),
      );
    }
  mistakes.push(...dryRunMistakes(query.getAll('dryRun').filter(Boolean)));
  const mode = query.get('fieldValidation') ?? '';
  if (!validationModes.includes(mode))
    mistakes.push(fieldErrors.notSupported('fieldValidation', mode, validationModes));
  if (mistakes.length > 0) throw invalidObject(kinds[verb], 'meta.k8s.io', '', mistakes);
}

export function dryRunMistakes(asked: readonly string[]): FieldError[] {
  return asked.some((text) => text !== 'All') ? [fieldErrors.notSupported('dryRun', asked, ['All'])] : [];
}
