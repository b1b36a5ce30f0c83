import { fieldErrors, type KubeObject, type Secret, secretKind } from '#api';
import { tableOf } from '#base';
import type { Strategy } from '#sdk';
import { base64Bytes, dataBytesMax } from './config-map.ts';
import { ageColumn, column, nameColumn } from './rules/columns.ts';
import { checkMetadata } from './rules/metadata.ts';
import { configKey, isConfigKey } from './rules/names.ts';
import { checkName, type Mistakes, sameJson } from './rules/values.ts';

type SecretObject = Secret & KubeObject;
/** Keys that a type cannot do without. */
const needed = tableOf<readonly string[]>({
  'kubernetes.io/tls': ['tls.crt', 'tls.key'],
  'kubernetes.io/ssh-auth': ['ssh-privatekey'],
  'kubernetes.io/dockerconfigjson': ['.dockerconfigjson'],
  'kubernetes.io/dockercfg': ['.dockercfg'],
});
const jsonKeys = new Set(['.dockerconfigjson', '.dockercfg']);

function checkType(mistakes: Mistakes, secret: Readonly<SecretObject>): void {
  const data = secret.data ?? {};
  const type = secret.type ?? 'Opaque';
  if (
    type === 'kubernetes.io/service-account-token' &&
    !secret.metadata.annotations?.['kubernetes.io/service-account.name']
  )
    mistakes.push(fieldErrors.required('metadata.annotations[kubernetes.io/service-account.name]'));
  if (type === 'kubernetes.io/basic-auth' && data['username'] === undefined && data['password'] === undefined)
    mistakes.push(fieldErrors.required('data[username]'), fieldErrors.required('data[password]'));
  for (const key of needed[type] ?? []) {
    const value = data[key];
    if (value === undefined) mistakes.push(fieldErrors.required(`data[${key}]`));
    else if (jsonKeys.has(key) && !isJson(value))
      mistakes.push(fieldErrors.invalid(`data[${key}]`, '<secret contents redacted>', 'invalid character'));
  }
}
function isJson(base64: string): boolean {
  try {
    JSON.parse(Buffer.from(base64, 'base64').toString());
    return true;
  } catch {
    return false;
  }
}

export const secretStrategy: Strategy<SecretObject> = {
  kind: secretKind,
  subresources: [],
  defaults(secret) {
    secret.type ??= 'Opaque';
    // Write-only convenience: what is kept and shown is `data`.
    for (const [key, text] of Object.entries(secret.stringData ?? {})) {
      secret.data ??= {};
      Object.defineProperty(secret.data, key, {
        value: Buffer.from(text).toString('base64'),
        enumerable: true,
        configurable: true,
        writable: true,
      });
    }
    delete secret.stringData;
  },
  prepareForCreate() {},
  prepareForUpdate(next, current) {
    // The type never changes, so an update may leave it out.
    if (!next.type) next.type = current.type;
  },
  validate(next, current) {
    const mistakes = checkMetadata(next, current);
    if (current && next.type !== current.type)
      mistakes.push(fieldErrors.invalid('type', next.type, 'field is immutable'));
    let bytes = 0;
    const { data = {} } = next;
    for (const key in data) {
      if (!isConfigKey(key)) checkName(mistakes, `data[${key}]`, key, configKey);
      bytes += base64Bytes(data[key]!);
    }
    if (bytes > dataBytesMax) mistakes.push(fieldErrors.tooLong('data', dataBytesMax));
    checkType(mistakes, next);
    if (!current?.immutable) return mistakes;
    const why = 'field is immutable when `immutable` is set';
    if (!next.immutable) mistakes.push(fieldErrors.forbidden('immutable', why));
    if (!sameJson(next.data, current.data)) mistakes.push(fieldErrors.forbidden('data', why));
    return mistakes;
  },
  selectableFields: (secret) => ({ type: secret.type ?? '' }),
  columns: [
    nameColumn,
    column('Type', 'What the entries are for.', (secret) => secret.type ?? ''),
    column('Data', 'Number of entries.', (secret) => Object.keys(secret.data ?? {}).length),
    ageColumn,
  ],
};
