import { type CertificateSigningRequest, errors } from '#api';
import type { UserInfo } from '#sdk';
import type { AdmissionHook, AdmissionRequest, Authorizer } from '../contract.ts';

const group = 'certificates.k8s.io';
const resource = `certificatesigningrequests.${group}`;
const clientSigner = 'kubernetes.io/kube-apiserver-client';

/** Who may approve or sign for a signer: the verb on that signer, or on all signers of its domain. */
async function mayFor(authorizer: Authorizer, user: UserInfo, verb: string, signer: string): Promise<boolean> {
  const domain = signer.slice(0, signer.indexOf('/'));
  for (const name of [signer, `${domain}/*`]) {
    const asked = {
      verb,
      group,
      version: '*',
      resource: 'signers',
      subresource: '',
      namespace: '',
      name,
      path: '',
      isResource: true,
    };
    if ((await authorizer.authorize(user, asked)).allowed) return true;
  }
  return false;
}

/** Approval and signing need a right for that signer, and nobody asks for a client certificate of the administrators. */
export const certificateRights = (authorizer: Authorizer): AdmissionHook => ({
  name: 'CertificateRights',
  validate(request) {
    if (request.kind.plural === 'certificatesigningrequests' && request.operation !== 'DELETE')
      return checkRights(authorizer, request);
  },
});

async function checkRights(
  authorizer: Authorizer,
  { operation, subresource, object, current, user, name }: AdmissionRequest,
): Promise<void> {
  const next = object as unknown as CertificateSigningRequest | undefined;
  const before = current as unknown as CertificateSigningRequest | undefined;
  const signer = before?.spec.signerName ?? '';
  if (subresource === 'approval' && !(await mayFor(authorizer, user, 'approve', signer)))
    throw errors.forbidden(
      resource,
      name,
      `user not permitted to approve requests with signerName ${JSON.stringify(signer)}`,
    );
  const changed =
    next?.status?.certificate !== before?.status?.certificate ||
    JSON.stringify(next?.status?.conditions ?? []) !== JSON.stringify(before?.status?.conditions ?? []);
  if (subresource === 'status' && changed && !(await mayFor(authorizer, user, 'sign', signer)))
    throw errors.forbidden(
      resource,
      name,
      `user not permitted to sign requests with signerName ${JSON.stringify(signer)}`,
    );
  if (subresource || operation !== 'CREATE' || next?.spec.signerName !== clientSigner) return;
  // The organisation is in the subject as plain text, whatever string type the encoder chose.
  const der = Buffer.from(
    Buffer.from(next.spec.request ?? '', 'base64')
      .toString('latin1')
      .replace(/-----[^-]+-----/g, ''),
    'base64',
  );
  if (der.includes('system:masters'))
    throw errors.forbidden(resource, name, `use of ${clientSigner} signer with system:masters group is not allowed`);
}
