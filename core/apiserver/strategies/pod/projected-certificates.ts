import { type ClusterTrustBundleProjection, fieldErrors, type PodCertificateProjection } from '#api';
import { checkSignerName } from '../certificates.ts';
import { checkOneOfUnsorted, type Mistakes } from '../rules/values.ts';
import { checkFileName } from './local-path.ts';
import { checkSelector } from './placement.ts';

/** Sources of projected volumes that speak of certificates. */

export function checkTrustBundle(mistakes: Mistakes, at: string, source: Readonly<ClusterTrustBundleProjection>): void {
  const { name, signerName, labelSelector, path } = source;
  if (name !== undefined && signerName !== undefined)
    mistakes.push(fieldErrors.invalid(at, source, 'only one of name and signerName may be used'));
  else if (name !== undefined) {
    if (name === '') mistakes.push(fieldErrors.required(`${at}.name`, 'must be a valid object name'));
    if (labelSelector)
      mistakes.push(
        fieldErrors.invalid(`${at}.labelSelector`, labelSelector, 'labelSelector must be unset if name is specified'),
      );
  } else if (signerName !== undefined) {
    if (signerName === '') mistakes.push(fieldErrors.required(`${at}.signerName`, 'must be a valid signer name'));
    checkSignerName(mistakes, `${at}.signerName`, signerName);
    checkSelector(mistakes, `${at}.labelSelector`, labelSelector);
  } else mistakes.push(fieldErrors.required(at, 'either name or signerName must be specified'));
  if (!path) mistakes.push(fieldErrors.required(`${at}.path`));
  else checkFileName(mistakes, `${at}.path`, path);
}

const keyTypes = ['RSA3072', 'RSA4096', 'ECDSAP256', 'ECDSAP384', 'ECDSAP521', 'ED25519'];
const expirationSecondsMin = 3600;
const expirationSecondsMax = 91 * 86_400;
/** Of Kubernetes' own signers. */
const ownExpirationSecondsMax = 86_400;

export function checkPodCertificate(mistakes: Mistakes, at: string, source: Readonly<PodCertificateProjection>): void {
  const { signerName, keyType, maxExpirationSeconds: seconds } = source;
  checkSignerName(mistakes, `${at}.signerName`, signerName);
  checkOneOfUnsorted(mistakes, `${at}.keyType`, keyType, keyTypes);
  const field = `${at}.maxExpirationSeconds`;
  if (seconds !== undefined && seconds < expirationSecondsMin)
    mistakes.push(
      fieldErrors.invalid(field, seconds, `if provided, maxExpirationSeconds must be >= ${expirationSecondsMin}`),
    );
  const isOwn = /(^|\.)kubernetes\.io$/.test(signerName?.split('/')[0] ?? '');
  const max = isOwn ? ownExpirationSecondsMax : expirationSecondsMax;
  if (seconds !== undefined && seconds > max)
    mistakes.push(fieldErrors.invalid(field, seconds, `if provided, maxExpirationSeconds must be <= ${max}`));
  const paths = (['credentialBundlePath', 'keyPath', 'certificateChainPath'] as const).filter((name) => source[name]);
  for (const name of paths) checkFileName(mistakes, `${at}.${name}`, source[name]!);
  if (paths.length === 0)
    mistakes.push(
      fieldErrors.required(at, 'specify at least one of credentialBundlePath, keyPath, and certificateChainPath'),
    );
}
