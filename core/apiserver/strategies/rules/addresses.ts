import ipaddr from 'ipaddr.js';
import { fieldErrors } from '#api';
import { checkIp, type Mistakes } from './values.ts';

const kinds: Readonly<Record<string, string>> = {
  unspecified: 'may not be unspecified (0.0.0.0)',
  loopback: 'may not be in the loopback range (127.0.0.0/8, ::1/128)',
  linkLocal: 'may not be in the link-local range (169.254.0.0/16, fe80::/10)',
};

/** An address that traffic may be sent to: a loopback or link-local one would reach the node itself. */
export function checkEndpointIp(mistakes: Mistakes, field: string, text: string, loopbackAllowed = false): void {
  if (!checkIp(mistakes, field, text)) return;
  const address = ipaddr.parse(text);
  const range: string = address.range();
  if (range === 'loopback' && loopbackAllowed) return;
  const linkLocalMulticast = /^224\.0\.0\./.test(text) || /^ff02:/i.test(text);
  const why = linkLocalMulticast
    ? 'may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)'
    : kinds[range];
  if (why) mistakes.push(fieldErrors.invalid(field, text, why));
}
