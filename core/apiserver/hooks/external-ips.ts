import { errors, type Service } from '#api';
import type { AdmissionHook } from '../contract.ts';

/**
 * Refuses new external addresses, as upstream's DenyServiceExternalIPs: whoever may write a Service would be sent what
 * others send to any address that he names. Those that a Service has already may stay, and go.
 */
export const denyExternalIpsHook: AdmissionHook = {
  name: 'DenyServiceExternalIPs',
  validate({ kind, object, current, name, subresource }) {
    if (kind.plural !== 'services' || kind.group !== '' || subresource !== '' || !object) return;
    const former = new Set((current as Service | undefined)?.spec?.externalIPs);
    const wanted = (object as Service).spec?.externalIPs ?? [];
    if (wanted.every((ip) => former.has(ip))) return;
    throw errors.forbidden(
      kind.plural,
      name ?? '',
      'Use of external IPs is denied by admission control; start the API server with --external-ips on to allow it',
    );
  },
};
