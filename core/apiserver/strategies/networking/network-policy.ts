import {
  fieldErrors,
  type IPBlock,
  type KubeObject,
  type NetworkPolicy,
  type NetworkPolicyPeer,
  type NetworkPolicyPort,
  networkPolicyKind,
} from '#api';
import { checkSelector } from '../pod/placement.ts';
import { checkCidr, cidrContains } from '../rules/addresses.ts';
import { ageColumn, column, nameColumn, selectorText } from '../rules/columns.ts';
import { portName } from '../rules/names.ts';
import { plainStrategy } from '../rules/plain.ts';
import { checkName, checkOneOfUnsorted, checkPort, type Mistakes } from '../rules/values.ts';

function checkPolicyPort(mistakes: Mistakes, at: string, port: Readonly<NetworkPolicyPort>): void {
  checkOneOfUnsorted(mistakes, `${at}.protocol`, port.protocol, ['TCP', 'UDP', 'SCTP']);
  const wrongEnd = (why: string) => mistakes.push(fieldErrors.invalid(`${at}.endPort`, port.endPort, why));
  if (typeof port.port === 'number') {
    checkPort(mistakes, `${at}.port`, port.port);
    if (port.endPort === undefined) return;
    if (port.endPort < port.port) wrongEnd('must be greater than or equal to `port`');
    checkPort(mistakes, `${at}.endPort`, port.endPort);
  } else if (typeof port.port === 'string') {
    if (port.endPort !== undefined) wrongEnd('may not be specified when `port` is non-numeric');
    checkName(mistakes, `${at}.port`, port.port, portName);
  } else if (port.endPort !== undefined) wrongEnd('may not be specified when `port` is not specified');
}

function checkBlock(mistakes: Mistakes, late: Mistakes, at: string, block: Readonly<IPBlock>): void {
  if (!block.cidr) {
    late.push(fieldErrors.required(`${at}.cidr`));
    return;
  }
  if (!checkCidr(mistakes, `${at}.cidr`, block.cidr)) return;
  for (const [index, except] of (block.except ?? []).entries()) {
    const field = `${at}.except[${index}]`;
    if (checkCidr(mistakes, field, except) && !cidrContains(block.cidr, except))
      mistakes.push(fieldErrors.invalid(field, except, 'must be a strict subset of `cidr`'));
  }
}

function checkPeer(mistakes: Mistakes, late: Mistakes, at: string, peer: Readonly<NetworkPolicyPeer>): void {
  checkSelector(mistakes, `${at}.podSelector`, peer.podSelector);
  checkSelector(mistakes, `${at}.namespaceSelector`, peer.namespaceSelector);
  if (peer.ipBlock) checkBlock(mistakes, late, `${at}.ipBlock`, peer.ipBlock);
  const count = [peer.podSelector, peer.namespaceSelector, peer.ipBlock].filter(Boolean).length;
  if (count === 0) mistakes.push(fieldErrors.required(at, 'must specify a peer'));
  else if (count > 1 && peer.ipBlock)
    mistakes.push(fieldErrors.forbidden(at, 'may not specify both ipBlock and another peer'));
}

export const networkPolicyStrategy = plainStrategy<NetworkPolicy & KubeObject>({
  kind: networkPolicyKind,
  generation: true,
  defaults({ spec }) {
    if (!spec) return;
    spec.podSelector ??= {};
    for (const rule of [...(spec.ingress ?? []), ...(spec.egress ?? [])])
      for (const port of rule.ports ?? []) port.protocol ??= 'TCP';
    if (!spec.policyTypes?.length) spec.policyTypes = spec.egress?.length ? ['Ingress', 'Egress'] : ['Ingress'];
  },
  check(mistakes, { spec }, _current, _part, late) {
    if (!spec) return;
    checkSelector(mistakes, 'spec.podSelector', spec.podSelector);
    for (const [index, rule] of (spec.ingress ?? []).entries()) {
      for (const [inner, port] of (rule.ports ?? []).entries())
        checkPolicyPort(mistakes, `spec.ingress[${index}].ports[${inner}]`, port);
      for (const [inner, peer] of (rule.from ?? []).entries())
        checkPeer(mistakes, late, `spec.ingress[${index}].from[${inner}]`, peer);
    }
    for (const [index, rule] of (spec.egress ?? []).entries()) {
      for (const [inner, port] of (rule.ports ?? []).entries())
        checkPolicyPort(mistakes, `spec.egress[${index}].ports[${inner}]`, port);
      for (const [inner, peer] of (rule.to ?? []).entries())
        checkPeer(mistakes, late, `spec.egress[${index}].to[${inner}]`, peer);
    }
    if ((spec.policyTypes?.length ?? 0) > 2) {
      mistakes.push(
        fieldErrors.invalid('spec.policyTypes', spec.policyTypes, 'may not specify more than two policyTypes'),
      );
      return;
    }
    for (const [index, type] of (spec.policyTypes ?? []).entries())
      checkOneOfUnsorted(mistakes, `spec.policyTypes[${index}]`, type, ['Ingress', 'Egress']);
  },
  columns: [
    nameColumn,
    column('Pod-Selector', 'The pods it is about.', (policy) => selectorText(policy.spec?.podSelector)),
    ageColumn,
  ],
});
