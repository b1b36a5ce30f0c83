import { fieldErrors, type KeyToPath, type PodSpec, type Volume, type VolumeProjection } from '#api';
import { configKey, dnsLabel } from '../rules/names.ts';
import { checkFileMode, checkName, checkNeededName, type Mistakes } from '../rules/values.ts';
import { checkFileName } from './local-path.ts';
import { checkPodCertificate, checkTrustBundle } from './projected-certificates.ts';

function checkItems(mistakes: Mistakes, field: string, items: readonly KeyToPath[] | undefined): void {
  for (const [index, item] of (items ?? []).entries()) {
    const at = `${field}[${index}]`;
    if (!item.key) mistakes.push(fieldErrors.required(`${at}.key`));
    else checkName(mistakes, `${at}.key`, item.key, configKey);
    if (!item.path) mistakes.push(fieldErrors.required(`${at}.path`));
    else checkFileName(mistakes, `${at}.path`, item.path);
    checkFileMode(mistakes, `${at}.mode`, item.mode);
  }
}
interface DownwardItem {
  readonly path: string;
  readonly fieldRef?: { readonly fieldPath: string };
  readonly resourceFieldRef?: { readonly resource: string; readonly containerName?: string };
}
const downwardPaths = /^metadata\.(name|namespace|uid|labels|annotations)$|^metadata\.(labels|annotations)\['[^']+'\]$/;
function checkDownward(mistakes: Mistakes, field: string, items: readonly DownwardItem[] | undefined): void {
  for (const [index, item] of (items ?? []).entries()) {
    const at = `${field}[${index}]`;
    if (!item.path) mistakes.push(fieldErrors.required(`${at}.path`));
    else checkFileName(mistakes, `${at}.path`, item.path);
    if (item.fieldRef) {
      if (!downwardPaths.test(item.fieldRef.fieldPath))
        mistakes.push(
          fieldErrors.invalid(
            `${at}.fieldRef.fieldPath`,
            item.fieldRef.fieldPath,
            `error converting fieldPath: field label not supported: ${item.fieldRef.fieldPath}`,
          ),
        );
    } else if (!item.resourceFieldRef)
      mistakes.push(fieldErrors.required(at, 'one of fieldRef and resourceFieldRef is required'));
    else if (!item.resourceFieldRef.containerName)
      mistakes.push(fieldErrors.required(`${at}.resourceFieldRef.containerName`));
  }
}

function checkProjection(mistakes: Mistakes, field: string, source: VolumeProjection): void {
  if (source.secret) {
    if (!source.secret.name) mistakes.push(fieldErrors.required(`${field}.secret.name`));
    checkItems(mistakes, `${field}.secret.items`, source.secret.items);
  }
  if (source.configMap) {
    if (!source.configMap.name) mistakes.push(fieldErrors.required(`${field}.configMap.name`));
    checkItems(mistakes, `${field}.configMap.items`, source.configMap.items);
  }
  if (source.downwardAPI) checkDownward(mistakes, `${field}.downwardAPI.items`, source.downwardAPI.items);
  if (source.clusterTrustBundle) checkTrustBundle(mistakes, `${field}.clusterTrustBundle`, source.clusterTrustBundle);
  if (source.podCertificate) checkPodCertificate(mistakes, `${field}.podCertificate`, source.podCertificate);
  const token = source.serviceAccountToken;
  if (!token) return;
  const seconds = token.expirationSeconds ?? 3600;
  if (seconds < 600)
    mistakes.push(
      fieldErrors.invalid(
        `${field}.serviceAccountToken.expirationSeconds`,
        seconds,
        'may not specify a duration less than 10 minutes',
      ),
    );
  if (seconds > 2 ** 32)
    mistakes.push(
      fieldErrors.invalid(
        `${field}.serviceAccountToken.expirationSeconds`,
        seconds,
        'may not specify a duration larger than 2^32 seconds',
      ),
    );
  if (!token.path) mistakes.push(fieldErrors.required(`${field}.serviceAccountToken.path`));
  else checkFileName(mistakes, `${field}.serviceAccountToken.path`, token.path);
}

function checkSource(mistakes: Mistakes, at: string, volume: Volume): void {
  const { secret, configMap, downwardAPI, projected, hostPath } = volume;
  if (hostPath) {
    if (!hostPath.path) mistakes.push(fieldErrors.required(`${at}.hostPath.path`));
    else if (hostPath.path.split('/').includes('..'))
      mistakes.push(fieldErrors.invalid(`${at}.hostPath.path`, hostPath.path, "must not contain '..'"));
  }
  if (secret) {
    if (!secret.secretName) mistakes.push(fieldErrors.required(`${at}.secret.secretName`));
    checkFileMode(mistakes, `${at}.secret.defaultMode`, secret.defaultMode);
    checkItems(mistakes, `${at}.secret.items`, secret.items);
  }
  if (configMap) {
    if (!configMap.name) mistakes.push(fieldErrors.required(`${at}.configMap.name`));
    checkFileMode(mistakes, `${at}.configMap.defaultMode`, configMap.defaultMode);
    checkItems(mistakes, `${at}.configMap.items`, configMap.items);
  }
  if (downwardAPI) {
    checkFileMode(mistakes, `${at}.downwardAPI.defaultMode`, downwardAPI.defaultMode);
    checkDownward(mistakes, `${at}.downwardAPI.items`, downwardAPI.items);
  }
  if (projected) {
    checkFileMode(mistakes, `${at}.projected.defaultMode`, projected.defaultMode);
    for (const [index, source] of (projected.sources ?? []).entries())
      checkProjection(mistakes, `${at}.projected.sources[${index}]`, source);
  }
  if (volume.persistentVolumeClaim && !volume.persistentVolumeClaim.claimName)
    mistakes.push(fieldErrors.required(`${at}.persistentVolumeClaim.claimName`));
}

export function checkVolumes(mistakes: Mistakes, spec: Readonly<PodSpec>, field: string): Set<string> {
  const names = new Set<string>();
  for (const [index, volume] of (spec.volumes ?? []).entries()) {
    const at = `${field}[${index}]`;
    const sources = Object.keys(volume).filter((key) => key !== 'name');
    for (const extra of sources.slice(1))
      mistakes.push(fieldErrors.forbidden(`${at}.${extra}`, 'may not specify more than 1 volume type'));
    if (sources.length === 0) mistakes.push(fieldErrors.required(at, 'must specify a volume type'));
    checkSource(mistakes, at, volume);
    checkNeededName(mistakes, `${at}.name`, volume.name, dnsLabel);
    if (volume.name && names.has(volume.name)) mistakes.push(fieldErrors.duplicate(`${at}.name`, volume.name));
    names.add(volume.name);
  }
  return names;
}
