import { describe, expect, test } from 'bun:test';
import type { NodeSystemInfo, Pod, Service } from '#api';
import { Backoff } from './backoff.ts';
import { fieldValue, resourceValue } from './downward.ts';
import { ConfigError, containerEnv } from './env.ts';
import { expand, expandStrict } from './expansion.ts';
import { hostnameOf, hostsFile } from './hosts.ts';
import { nodeStatus, sameStatus } from './node-status.ts';
import { judge, noRun } from './probes/verdict.ts';
import { clusterDnsOf, resolvFile } from './resolv.ts';
import { oomScoreOf, qosClassOf, resourcesOf } from './resources.ts';
import { nonRootViolation, securityOf } from './security.ts';
import { serviceEnv } from './service-env.ts';
import { unsupportedFields } from './supported.ts';

const pod = (spec: Partial<NonNullable<Pod['spec']>> = {}): Pod => ({
  metadata: { name: 'web', namespace: 'shop', uid: 'u1', labels: { a: '1', 'b/c': 'x"y' } },
  spec: { containers: [{ name: 'c', image: 'i' }], nodeName: 'n1', ...spec },
});
const facts = { podIps: ['10.0.0.5'], hostIps: ['192.168.0.1'], allocatable: { cpu: '2', memory: '4Gi' } };

describe('back-off', () => {
  test('doubles from 10 s to 300 s and is forgotten after 10 quiet minutes', () => {
    const backoff = new Backoff();
    let at = 0;
    const delays = Array.from({ length: 7 }, () => {
      backoff.next('k', at);
      at += 1000;
      return backoff.delayMs('k') / 1000;
    });
    expect(delays).toEqual([10, 20, 40, 80, 160, 300, 300]);
    expect(backoff.untilMs('k', at)).toBe(at + 300_000);
    expect(backoff.untilMs('k', at + 700_000)).toBe(at + 700_000);
    backoff.next('k', at + 700_000);
    expect(backoff.delayMs('k')).toBe(10_000);
  });
});

describe('expansion', () => {
  const lookup = (name: string) => ({ A: '1', B: '2' })[name];
  test.each([
    ['$(A)-$(B)', '1-2'],
    ['$$(A)', '$(A)'],
    ['$(X)', '$(X)'],
    ['$(A', '$(A'],
    ['$', '$'],
    ['$A', '$A'],
    ['$$$(A)', '$1'],
  ])('%s', (text, wanted) => {
    expect(expand(text, lookup)).toBe(wanted);
  });
  test('strict refuses what is not there', () => {
    expect(() => expandStrict('$(X)/a', lookup)).toThrow('missing value for "X"');
  });
});

describe('environment', () => {
  const sources = {
    services: { WEB_SERVICE_HOST: '10.1.1.1' },
    facts,
    configMap: (name: string) => (name === 'cm' ? { metadata: {}, data: { k: 'v', other: 'o' } } : undefined),
    secret: (name: string) =>
      name === 's' ? { metadata: {}, data: { pw: Buffer.from('top').toString('base64') } } : undefined,
  };
  const env = (container: object) => Object.fromEntries(containerEnv(pod(), { name: 'c', ...container }, sources));
  test('envFrom, env and services in their order of precedence', () => {
    const made = env({
      envFrom: [{ configMapRef: { name: 'cm' }, prefix: 'P_' }, { secretRef: { name: 's' } }],
      env: [
        { name: 'P_k', value: 'mine' },
        { name: 'URL', value: 'http://$(WEB_SERVICE_HOST)/$(P_k)/$(pw)' },
        { name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
        { name: 'KEY', valueFrom: { configMapKeyRef: { name: 'cm', key: 'k' } } },
        { name: 'GONE', valueFrom: { secretKeyRef: { name: 's', key: 'no', optional: true } } },
      ],
    });
    expect(made).toEqual({
      P_other: 'o',
      pw: 'top',
      P_k: 'mine',
      URL: 'http://10.1.1.1/mine/top',
      IP: '10.0.0.5',
      KEY: 'v',
      WEB_SERVICE_HOST: '10.1.1.1',
    });
  });
  test.each([
    [{ envFrom: [{ configMapRef: { name: 'no' } }] }, 'configmap "no" not found'],
    [
      { env: [{ name: 'X', valueFrom: { secretKeyRef: { name: 's', key: 'no' } } }] },
      "couldn't find key no in Secret shop/s",
    ],
  ])('missing %#', (container, message) => {
    expect(() => env(container)).toThrow(new ConfigError(message));
  });
  test('service variables', () => {
    const service = (name: string, namespace: string, clusterIP: string): Service => ({
      metadata: { name, namespace },
      spec: { clusterIP, ports: [{ name: 'http', port: 80 }] },
    });
    const all = [
      service('kubernetes', 'default', '10.0.0.1'),
      service('my-db', 'shop', '10.0.0.2'),
      service('head', 'shop', 'None'),
    ];
    expect(serviceEnv(all, 'shop', false)).toMatchObject({
      KUBERNETES_SERVICE_HOST: '10.0.0.1',
      KUBERNETES_SERVICE_PORT: '80',
    });
    const linked = serviceEnv(all, 'shop', true);
    expect(linked).toMatchObject({
      MY_DB_SERVICE_PORT_HTTP: '80',
      MY_DB_PORT_80_TCP: 'tcp://10.0.0.2:80',
      MY_DB_PORT_80_TCP_ADDR: '10.0.0.2',
      KUBERNETES_PORT: 'tcp://10.0.0.1:80',
    });
    expect(Object.keys(linked).some((key) => key.startsWith('HEAD'))).toBe(false);
  });
});

test('downward fields and resources', () => {
  expect(fieldValue({ fieldPath: 'metadata.labels' }, pod(), facts)).toBe('a="1"\nb/c="x\\"y"');
  expect(fieldValue({ fieldPath: "metadata.labels['b/c']" }, pod(), facts)).toBe('x"y');
  expect(() => fieldValue({ fieldPath: 'spec.nope' }, pod(), facts)).toThrow();
  const own = { name: 'c', resources: { limits: { cpu: '1500m' } } };
  expect(resourceValue({ resource: 'limits.cpu' }, pod(), own, facts)).toBe('2');
  expect(resourceValue({ resource: 'limits.cpu', divisor: '1m' }, pod(), own, facts)).toBe('1500');
  expect(resourceValue({ resource: 'limits.memory', divisor: '1Mi' }, pod(), own, facts)).toBe('4096');
  expect(resourceValue({ resource: 'requests.memory' }, pod(), own, facts)).toBe('0');
});

test('quality of service, shares and OOM score', () => {
  const with_ = (resources: object) => pod({ containers: [{ name: 'c', resources }] });
  const both = { cpu: '500m', memory: '64Mi' };
  const guaranteed = with_({ limits: both, requests: both });
  const burstable = with_({ requests: { memory: '1Gi' } });
  expect([guaranteed, with_({ limits: both }), burstable, pod()].map(qosClassOf)).toEqual([
    'Guaranteed',
    'Guaranteed',
    'Burstable',
    'BestEffort',
  ]);
  const gib = 1024 ** 3;
  expect([guaranteed, burstable, pod()].map((p) => oomScoreOf(p, p.spec!.containers[0]!, 4 * gib))).toEqual([
    -997, 750, 1000,
  ]);
  expect(resourcesOf(guaranteed, guaranteed.spec!.containers[0]!, gib)).toEqual({
    cpuShares: 512,
    cpuQuotaUs: 50_000,
    memoryLimitBytes: 64 * 1024 ** 2,
    oomScoreAdj: -997,
  });
});

test('security context', () => {
  const p = pod({ securityContext: { runAsUser: 5, runAsNonRoot: true, fsGroup: 7, supplementalGroups: [8] } });
  expect(
    securityOf(p, { name: 'c', securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } } }),
  ).toMatchObject({
    runAsUser: 5,
    supplementalGroups: [7, 8],
    noNewPrivileges: true,
    capabilitiesDrop: ['ALL'],
    privileged: false,
  });
  const image = (user: string) => ({ id: 'x', names: [], sizeBytes: 0, user });
  const strict = pod({ securityContext: { runAsNonRoot: true } });
  const c = { name: 'c' };
  expect(nonRootViolation(strict, c, image(''))).toBe(
    'container has runAsNonRoot and image will run as root (pod: "web_shop(u1)", container: c)',
  );
  expect(nonRootViolation(strict, c, image('app:x'))).toContain('non-numeric user (app)');
  expect(nonRootViolation(strict, c, image('1000'))).toBeUndefined();
  expect(nonRootViolation(p, { name: 'c', securityContext: { runAsUser: 0 } }, image('1'))).toContain(
    "container's runAsUser breaks non-root policy",
  );
});

describe('unsupported fields', () => {
  test('a plain pod has none', () => {
    expect(
      unsupportedFields(pod({ volumes: [{ name: 'e', emptyDir: {} }], dnsPolicy: 'Default', hostNetwork: true })),
    ).toEqual([]);
  });
  test.each<[Partial<NonNullable<Pod['spec']>>, string[]]>([
    [{ runtimeClassName: 'gvisor' }, ['spec.runtimeClassName']],
    [{ hostUsers: false }, ['spec.hostUsers']],
    [{ volumes: [{ name: 'v', nfs: { path: '/', server: 's' } }] }, ['spec.volumes[0].nfs']],
    [
      // Extended resources are counted where a node was told to offer them, and mean nothing to an engine.
      { containers: [{ name: 'c', resources: { limits: { 'example.com/foo': '1' } } }] },
      [],
    ],
    [
      { containers: [{ name: 'c', resources: { limits: { 'hugepages-2Mi': '2Mi' } } }] },
      ['spec.containers[0].resources.limits.hugepages-2Mi'],
    ],
    [
      { containers: [{ name: 'a' }, { name: 'c', volumeDevices: [{ devicePath: '/d', name: 'v' }] }] },
      ['spec.containers[1].volumeDevices'],
    ],
    [
      { initContainers: [{ name: 'c', securityContext: { procMount: 'Unmasked' } }] },
      ['spec.initContainers[0].securityContext.procMount'],
    ],
  ])('%j', (spec, wanted) => {
    expect(unsupportedFields(pod(spec))).toEqual(wanted);
  });
  test('SELinux labels mean nothing where the kernel has no SELinux', () => {
    const spec = { securityContext: { seLinuxOptions: { level: 's0:c0,c1' } } };
    expect(unsupportedFields(pod(spec), { hostPorts: true, seLinux: false })).toEqual([]);
    expect(unsupportedFields(pod(spec), { hostPorts: true, seLinux: true })).toEqual([
      'spec.securityContext.seLinuxOptions',
    ]);
  });
});

test('hosts and resolv.conf', () => {
  const named = pod({ hostname: 'h', subdomain: 'sub', setHostnameAsFQDN: true });
  expect(hostnameOf(named, 'n1', 'cluster.local')).toEqual({
    hostname: 'h',
    domain: 'sub.shop.svc.cluster.local',
    full: 'h.sub.shop.svc.cluster.local',
  });
  const file = hostsFile({
    ips: ['10.0.0.5'],
    hostname: 'h',
    domain: 'd',
    aliases: [{ ip: '1.2.3.4', hostnames: ['a', 'b'] }],
  });
  expect(file).toContain('10.0.0.5\th.d\th\n');
  expect(file).toEndWith('# Entries added by HostAliases.\n1.2.3.4\ta\tb\n');
  const options = {
    clusterDns: ['10.0.0.10'],
    clusterDomain: 'cluster.local',
    nodeFile: 'search lan\nnameserver 1.1.1.1\n',
  };
  const text = (spec: object = {}, more: object = {}) => resolvFile(pod(spec), { ...options, ...more }).text;
  const own = 'search lan\nnameserver 1.1.1.1\n';
  const inCluster =
    'search shop.svc.cluster.local svc.cluster.local cluster.local lan\nnameserver 10.0.0.10\noptions ndots:5\n';
  expect(text()).toBe(inCluster);
  expect(text({ dnsPolicy: 'Default' })).toBe(own);
  const none = { nameservers: ['9.9.9.9'], options: [{ name: 'ndots', value: '2' }] };
  expect(text({ dnsPolicy: 'None', dnsConfig: none })).toBe('nameserver 9.9.9.9\noptions ndots:2\n');
  expect(text({ hostNetwork: true })).toBe(own);
  expect(text({ hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' })).toBe(inCluster);
  const dnsConfig = {
    nameservers: ['9.9.9.9', '10.0.0.10'],
    searches: ['x.example', 'lan'],
    options: [{ name: 'ndots', value: '1' }, { name: 'rotate' }],
  };
  expect(text({ dnsConfig })).toBe(
    'search shop.svc.cluster.local svc.cluster.local cluster.local lan x.example\nnameserver 10.0.0.10\nnameserver 9.9.9.9\noptions ndots:1 rotate\n',
  );
  expect(
    text({ dnsPolicy: 'Default' }, { nodeFile: 'search . a.example.\noptions timeout:1 ndots:2\noptions timeout:3' }),
  ).toBe('search a.example\noptions timeout:3 ndots:2\n');
});

test('what resolv.conf cannot hold is told', () => {
  const options = { clusterDns: ['10.0.0.10'], clusterDomain: 'cluster.local', nodeFile: '' };
  const warnings = (spec: object, more: object = {}) => resolvFile(pod(spec), { ...options, ...more }).warnings;
  expect(warnings({})).toEqual([]);
  expect(warnings({}, { clusterDns: [] })).toEqual([
    {
      reason: 'MissingClusterDNS',
      message: expect.stringContaining(
        'kubelet does not have ClusterDNS IP configured and cannot create Pod using "ClusterFirst" policy',
      ),
    },
  ]);
  expect(warnings({ dnsConfig: { nameservers: ['1.1.1.1', '1.1.1.2', '1.1.1.3'] } })).toEqual([
    {
      reason: 'DNSConfigForming',
      message:
        'Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: 10.0.0.10 1.1.1.1 1.1.1.2',
    },
  ]);
  const many = Array.from({ length: 32 }, (_unused, index) => `a${index}.example`);
  expect(warnings({ dnsConfig: { searches: many } })[0]?.reason).toBe('DNSConfigForming');
  const long = Array.from({ length: 20 }, (_unused, index) => `${'a'.repeat(60)}.${'b'.repeat(60)}.c${index}`);
  const { text, warnings: told } = resolvFile(pod({ dnsPolicy: 'None', dnsConfig: { searches: long } }), options);
  expect(text.split('\n')[0]!.length).toBeLessThanOrEqual('search '.length + 2048);
  expect(told).toHaveLength(1);
});

test('the cluster’s DNS is the service of that name, by whomever it is served', () => {
  const of = (spec: object | undefined) =>
    clusterDnsOf({
      get: ({ namespace, name }) =>
        namespace === 'kube-system' && name === 'kube-dns' && spec ? { metadata: {}, spec } : undefined,
    });
  expect(of(undefined)).toEqual([]);
  expect(of({ clusterIP: 'None' })).toEqual([]);
  expect(of({ clusterIP: '10.96.0.10' })).toEqual(['10.96.0.10']);
  expect(of({ clusterIP: '10.96.0.10', clusterIPs: ['10.96.0.10', 'fd00::a'] })).toEqual(['10.96.0.10', 'fd00::a']);
});

test('probe thresholds', () => {
  let run = noRun;
  const verdicts = [false, false, true, false, false, false, true, true].map((ok) => {
    const judged = judge(run, ok, { failureThreshold: 3, successThreshold: 2 });
    run = judged.run;
    return judged.verdict;
  });
  expect(verdicts).toEqual([undefined, undefined, undefined, undefined, undefined, false, undefined, true]);
});

test('a node status that the API holds in another order is the same', () => {
  const facts = {
    name: 'n1',
    ips: ['192.0.2.7'],
    labels: {},
    capacity: { cpu: '2' },
    allocatable: { cpu: '2' },
    info: {} as NodeSystemInfo,
    port: 10_250,
    images: [],
  };
  const first = nodeStatus(facts, undefined, 0);
  const { images: _none, ...held } = first;
  const extra = { type: 'NetworkUnavailable', status: 'False' };
  const there = { ...Object.fromEntries(Object.entries(held).reverse()), conditions: [extra, ...first.conditions!] };
  expect(sameStatus(there, nodeStatus(facts, there, 10_000))).toBe(true);
  expect(sameStatus(there, nodeStatus({ ...facts, notReady: 'the engine is away' }, there, 10_000))).toBe(false);
  expect(sameStatus(undefined, first)).toBe(false);
});
