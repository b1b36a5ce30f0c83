import { type ConfigMap, configMapKind, fieldErrors, type KubeObject } from '#api';
import type { Strategy } from '#sdk';
import { ageColumn, column, nameColumn } from './rules/columns.ts';
import { checkMetadata } from './rules/metadata.ts';
import { configKey, isConfigKey } from './rules/names.ts';
import { checkName, sameJson } from './rules/values.ts';

type ConfigMapObject = ConfigMap & KubeObject;
/** All values together, as upstream. */
export const dataBytesMax = 1024 * 1024;
const none: Readonly<Record<string, string>> = {};
const countOf = (record: Readonly<Record<string, string>> = none): number => Object.keys(record).length;
/** Decoded size of base64 text. */
export const base64Bytes = (text: string): number =>
  Math.floor((text.length * 3) / 4) - (text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0);

export const configMapStrategy: Strategy<ConfigMapObject> = {
  kind: configMapKind,
  subresources: [],
  prepareForCreate() {},
  prepareForUpdate() {},
  validate(next, current) {
    const mistakes = checkMetadata(next, current);
    let bytes = 0;
    const { data = none, binaryData = none } = next;
    for (const key in data) {
      if (!isConfigKey(key)) checkName(mistakes, `data[${key}]`, key, configKey);
      if (binaryData !== none && Object.hasOwn(binaryData, key))
        mistakes.push(fieldErrors.invalid(`data[${key}]`, key, 'duplicate of key present in binaryData'));
      bytes += Buffer.byteLength(data[key]!);
    }
    for (const key in binaryData) {
      if (!isConfigKey(key)) checkName(mistakes, `binaryData[${key}]`, key, configKey);
      bytes += base64Bytes(binaryData[key]!);
    }
    if (bytes > dataBytesMax) mistakes.push(fieldErrors.tooLong('[]', dataBytesMax));
    if (!current?.immutable) return mistakes;
    const why = 'field is immutable when `immutable` is set';
    if (!next.immutable) mistakes.push(fieldErrors.forbidden('immutable', why));
    if (!sameJson(next.data, current.data)) mistakes.push(fieldErrors.forbidden('data', why));
    if (!sameJson(next.binaryData, current.binaryData)) mistakes.push(fieldErrors.forbidden('binaryData', why));
    return mistakes;
  },
  columns: [
    nameColumn,
    column('Data', 'Number of entries.', (map) => countOf(map.data) + countOf(map.binaryData)),
    ageColumn,
  ],
};
