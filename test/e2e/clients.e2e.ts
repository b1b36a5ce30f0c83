// Every verb of stock kubectl, of each version that this machine has, against a cluster of the process runtime.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Kubectl, stockKubectls } from '../clients/kubectl.ts';
import { expectOk, repository, TestCluster, until } from '../fixtures/pintle.ts';

const kubectls = stockKubectls();
let cluster: TestCluster;
let place: string;
beforeAll(async () => {
  if (kubectls.length === 0) return;
  place = mkdtempSync(join(tmpdir(), 'pc-'));
  cluster = new TestCluster();
  await cluster.up('--runtime', 'process');
  expectOk(await cluster.run('image', 'demo'));
});
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  if (place) rmSync(place, { recursive: true, force: true });
});

const configMap = (name: string, data: object, more: object = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, ...more },
  data,
});
const sleeper = (name: string, script = 'exec sleep 1000') => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, labels: { app: name } },
  spec: {
    terminationGracePeriodSeconds: 1,
    containers: [{ name: 'main', image: 'pintle/demo:local', command: ['sh', '-c', script] }],
  },
});
const templateOf = (app: string) => ({ metadata: { labels: { app } }, spec: sleeper(app).spec });
/** An editor that does this to the file. */
function editor(script: string): Record<string, string> {
  const path = join(place, `editor-${Bun.hash(script)}`);
  writeFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return { KUBE_EDITOR: path };
}

describe.each(kubectls.map((stock) => [stock.version, stock] as const))('kubectl %s', (version, stock) => {
  const namespace = `k-${version.replace('.', '-')}`;
  let k: Kubectl;
  beforeAll(async () => {
    k = new Kubectl(cluster, stock.path, namespace);
    await k.ok(`create namespace ${namespace}`);
    await k.untilField('default', '.metadata.name', 'serviceaccount', 'default');
  });

  test('finds its way: version, cluster-info, api-resources, api-versions, explain', async () => {
    expect(await k.ok('version')).toContain('Server Version: v1.37');
    expect(await k.ok('cluster-info')).toContain('is running at');
    expect(await k.ok('api-versions')).toContain('rbac.authorization.k8s.io/v1\n');
    const resources = await k.ok('api-resources -o name');
    for (const name of ['pods', 'roles.rbac.authorization.k8s.io', 'leases.coordination.k8s.io'])
      expect(resources.split('\n')).toContain(name);
    expect(await k.ok('api-resources --verbs=list --namespaced -o wide')).toContain('create,delete,deletecollection');
    expect(await k.ok('explain pod.spec.containers --recursive')).toContain('livenessProbe');
    expect(await k.ok('explain rc.spec.replicas')).toContain('FIELD: replicas <integer>');
    expect(await k.ok('explain events --api-version=events.k8s.io/v1')).toContain('reportingController');
    expect(await k.ok('explain pods --output=plaintext-openapiv2')).toContain('spec');
    expect(await k.ok('get --raw /readyz?verbose')).toContain('check passed');
    expect(await k.ok('options')).toContain('--request-timeout');
    const dump = await k.run('cluster-info dump --namespaces default');
    expect(dump.out).toContain('"kind": "ServiceList"'); // then it asks for workload groups, which are plugins
    expect(dump.err || dump.out).toMatch(/could not find the requested resource|PodList/);
  });

  test('creates what it has a generator for', async () => {
    const create = (words: string) => k.ok(`create ${words}`);
    writeFileSync(join(place, 'file.txt'), 'content');
    await create(`configmap made --from-literal=a=1 --from-file=${place}/file.txt`);
    expect(await k.field('.data', 'configmap', 'made')).toBe('{"a":"1","file.txt":"content"}');
    await create('secret generic made --from-literal=password=x');
    expect(await k.field('.data.password', 'secret', 'made')).toBe('eA==');
    await create('secret docker-registry pull --docker-server=r --docker-username=u --docker-password=p');
    await create(
      `secret tls pair --cert=${cluster.home.path('pki', 'ca.crt')} --key=${cluster.home.path('pki', 'ca.key')}`,
    );
    await create('serviceaccount robot');
    expect((await create('token robot')).split('.').length).toBe(3);
    await create('role reader --verb=get,list --resource=configmaps');
    await create(`rolebinding reader --role=reader --serviceaccount=${namespace}:robot`);
    await create(`clusterrole ${namespace} --verb=get --resource=nodes`);
    await create(`clusterrole ${namespace}-sum --aggregation-rule=a=b`);
    await create(`clusterrolebinding ${namespace} --clusterrole=${namespace} --serviceaccount=${namespace}:robot`);
    await create('quota most --hard=configmaps=100');
    await create(`priorityclass ${namespace} --value=100 --description=d`);
    await create('poddisruptionbudget budget --selector=app=none --min-available=1');
    await create('service clusterip plain --tcp=8080:8080');
    await create('service nodeport outer --tcp=8081:8081');
    await create('service externalname far --external-name=example.org');
    await create('ingress way --rule=a.example/path=plain:8080');
    expect(await k.ok('describe ingress way')).toContain('a.example');
    await k.ok('delete quota most');
    const served = await k.ok('api-resources -o name'); // workload groups are plugins; what is absent is said so
    for (const [kind, resource] of Object.entries({ deployment: 'deployments.apps', job: 'jobs.batch' })) {
      if (served.split('\n').includes(resource)) await create(`${kind} work --image=pintle/demo:local`);
      else expect(await k.refused(`create ${kind} work --image=x`)).toContain('could not find the requested resource');
    }
  });

  test('gets in every form, and watches', async () => {
    await k.apply(configMap('one', { n: '1' }, { labels: { set: 'get' } }));
    await k.apply(configMap('two', { n: '2' }, { labels: { set: 'get', extra: 'yes' } }));
    expect(await k.ok('get cm -l set=get -o name')).toBe('configmap/one\nconfigmap/two\n');
    expect(await k.ok('get cm -l set=get --no-headers')).toMatch(/^one +1 +\d+s\ntwo +1 +\d+s\n$/);
    expect(await k.ok('get cm -l set=get -L extra --show-labels')).toMatch(/EXTRA +LABELS\n/);
    expect(JSON.parse(await k.ok('get cm one -o json')).data).toEqual({ n: '1' });
    expect(await k.ok('get cm one -o yaml')).toContain('kind: ConfigMap');
    expect(await k.ok('get cm -l set in (get),extra!=yes -o name'.split(/ (?!in|\()/))).toBe('configmap/one\n');
    expect(await k.ok('get cm --field-selector metadata.name=two -o name')).toBe('configmap/two\n');
    expect(await k.ok('get cm -l set=get --sort-by={.data.n} --no-headers -o custom-columns=N:.data.n')).toBe('1\n2\n');
    expect(await k.ok(['get', 'cm', 'one', '-o', 'go-template={{.data.n}}'])).toBe('1');
    expect(await k.ok('get cm -l set=get --chunk-size=1 -o name')).toBe('configmap/one\nconfigmap/two\n');
    expect(await k.ok('get cm,secret one --ignore-not-found -o name')).toBe('configmap/one\n');
    expect(await k.ok('get all')).toContain('service/plain');
    expect(await k.ok('get nodes -o wide')).toContain('Ready');
    expect(await k.ok('get componentstatuses')).toContain('Healthy');
    expect(await k.refused('get cm none')).toContain('Error from server (NotFound): configmaps "none" not found');
    expect(await k.refused('get nothing')).toContain('the server doesn\'t have a resource type "nothing"');
    await using watch = await k.background('get cm one -w --output-watch-events --no-headers', /^ADDED/);
    await k.ok('label cm one seen=yes');
    await watch.said(/\nMODIFIED/);
    await k.ok('delete cm one');
    await watch.said(/\nDELETED/);
  });

  test('applies on the client’s side: create, change, prune, last-applied, diff', async () => {
    const object = configMap('applied', { a: '1', b: '2' }, { labels: { set: 'apply' } });
    expect(await k.apply(object)).toContain('created');
    expect(await k.apply(object)).toContain('unchanged');
    const next = JSON.stringify(configMap('applied', { a: '3' }, { labels: { set: 'apply' } }));
    const difference = await k.run('diff -f -', { stdin: next });
    expect([difference.code, difference.err]).toEqual([1, '']);
    expect(difference.out).toContain('-  a: "1"\n-  b: "2"\n+  a: "3"');
    expect(await k.ok('apply -f - --dry-run=server', { stdin: next })).toContain('(server dry run)');
    expect(await k.field('.data.a', 'cm', 'applied')).toBe('1');
    expect(await k.ok('apply -f -', { stdin: next })).toContain('configured');
    expect(await k.field('.data', 'cm', 'applied')).toBe('{"a":"3"}');
    expect((await k.run('diff -f -', { stdin: next })).code).toBe(0);
    expect(await k.ok('apply view-last-applied cm applied')).toContain('a: "3"');
    await k.ok('apply edit-last-applied cm applied', { env: editor('sed -i s/\\"3\\"/\\"4\\"/ $1') });
    expect(await k.ok('apply view-last-applied cm applied')).toContain('a: "4"');
    await k.ok('apply set-last-applied -f -', { stdin: next });
    const other = JSON.stringify(configMap('kept', {}, { labels: { set: 'apply' } }));
    const pruned = await k.ok('apply -f - --prune -l set=apply --prune-allowlist=core/v1/ConfigMap', { stdin: other });
    expect(pruned).toContain('configmap/applied pruned');
    const strange = JSON.stringify({ ...configMap('strange', {}), strange: 1 });
    expect(await k.refused('apply -f -', { stdin: strange })).toContain('unknown field "strange"');
    expect((await k.run('apply --validate=warn -f -', { stdin: strange })).err).toContain('unknown field "strange"');
  });

  test('applies on the server’s side: managers, conflicts, force, take-over', async () => {
    const object = (value: string) => configMap('shared', { a: value });
    expect(await k.apply(object('1'), '--server-side')).toContain('serverside-applied');
    const other = ['apply', '--server-side', '--field-manager=other', '-f', '-'];
    const refused = await k.refused(other, { stdin: JSON.stringify(object('2')) });
    expect(refused).toContain('conflict with "kubectl"');
    expect(refused).toContain('.data.a');
    await k.ok([...other, '--force-conflicts'], { stdin: JSON.stringify(object('2')) });
    expect(await k.ok('get cm shared -o yaml --show-managed-fields')).toMatch(/manager: other\n/);
    await k.apply(configMap('taken', { a: '1', b: '1' }));
    await k.apply(configMap('taken', { a: '1' }), '--server-side'); // kubectl's own client-side fields move over
    expect(await k.field('.data', 'cm', 'taken')).toBe('{"a":"1"}');
  });

  test('changes: edit, patch, replace, label, annotate, set', async () => {
    await k.apply(configMap('changed', { a: '1' }));
    await k.ok('edit cm changed', { env: editor('sed -i s/\\"1\\"/\\"2\\"/ $1') });
    expect(await k.field('.data.a', 'cm', 'changed')).toBe('2');
    const patch = (type: string, text: string) => k.ok(['patch', 'cm', 'changed', '--type', type, '-p', text]);
    await patch('strategic', '{"data":{"b":"s"}}');
    await patch('merge', '{"data":{"c":"m"}}');
    await patch('json', '[{"op":"test","path":"/data/b","value":"s"},{"op":"remove","path":"/data/a"}]');
    expect(await k.field('.data', 'cm', 'changed')).toBe('{"b":"s","c":"m"}');
    expect(await k.ok(['patch', 'cm', 'changed', '-p', '{}'])).toContain('(no change)');
    await k.ok('replace -f -', { stdin: JSON.stringify(configMap('changed', { d: '1' })) });
    const uid = await k.field('.metadata.uid', 'cm', 'changed');
    await k.ok('replace --force -f -', { stdin: JSON.stringify(configMap('changed', { e: '1' })) });
    expect(await k.field('.metadata.uid', 'cm', 'changed')).not.toBe(uid);
    await k.ok('label cm changed x=1');
    expect(await k.refused('label cm changed x=2')).toContain('--overwrite is false');
    await k.ok(
      'label cm changed x=2 --overwrite --resource-version=' +
        (await k.field('.metadata.resourceVersion', 'cm', 'changed')),
    );
    await k.ok('annotate cm changed note=text');
    await k.ok('annotate cm changed note- x-');
    await k.ok('label cm changed x-');
    expect(await k.field('.metadata.labels', 'cm', 'changed')).toBe('');
  });

  test('controllers: scale, set, expose, describe, wait, drain', async () => {
    await k.apply({
      apiVersion: 'v1',
      kind: 'ReplicationController',
      metadata: { name: 'web', labels: { app: 'web' } },
      spec: {
        replicas: 1,
        selector: { app: 'web' },
        template: templateOf('web'),
      },
    });
    await k.ok('scale rc web --replicas=2 --current-replicas=1');
    await k.ok('wait rc web --for=jsonpath={.status.readyReplicas}=2 --timeout=120s');
    await k.ok('set env rc/web A=B');
    await k.ok('set image rc/web main=pintle/demo:local');
    await k.ok('set resources rc/web --requests=cpu=5m');
    await k.ok('set serviceaccount rc/web robot');
    await k.ok(`set subject rolebinding reader --user=someone`);
    expect(await k.ok('set env rc/web --list')).toContain('A=B');
    expect(await k.ok('expose rc web --port=8080 --name=exposed')).toContain('exposed');
    await k.ok('set selector service exposed app=other');
    expect(await k.field('.spec.selector.app', 'service', 'exposed')).toBe('other');
    await k.untilSays('SuccessfulCreate', 'describe rc web');
    await k.untilSays('Scheduled', 'describe pods -l app=web');
    await k.untilSays('SuccessfulCreate', 'events --for rc/web --types=Normal');
    await k.untilSays('Created pod', 'get events --field-selector involvedObject.kind=ReplicationController');
    const node = await k.field('.items[0].metadata.name', 'nodes');
    expect(await k.ok(`describe node ${node}`)).toContain('Allocated resources');
    await k.ok(`cordon ${node}`);
    await k.ok(`taint node ${node} test=yes:PreferNoSchedule`);
    expect(await k.field('.spec.unschedulable', 'node', node)).toBe('true');
    const drained = await k.ok(
      `drain ${node} --force --ignore-daemonsets --delete-emptydir-data --timeout=120s --pod-selector=app=web`,
    );
    expect(drained).toContain('evicted');
    await k.ok(`taint node ${node} test-`);
    await k.ok(`uncordon ${node}`);
    await k.ok('delete rc web --cascade=foreground --timeout=120s');
    expect(await k.ok('get pods -l app=web -o name')).toBe('');
  });

  test('pods: run, logs, exec, attach, cp, port-forward, proxy, debug', async () => {
    const said = await k.ok(
      'run greeter --image=pintle/demo:local --restart=Never --command -- sh -c'
        .split(' ')
        .concat('echo hello; echo again; exec sleep 1000'),
    );
    expect(said).toBe('pod/greeter created\n');
    await k.ok('wait pod/greeter --for=condition=Ready --timeout=120s');
    await until('its log', async () => (await k.ok('logs greeter')) === 'hello\nagain\n');
    expect(await k.ok('logs greeter --tail=1 --timestamps')).toMatch(/^\d{4}-\S+ again\n$/);
    expect(await k.ok('logs -l run=greeter --prefix --all-containers')).toContain('[pod/greeter/greeter] hello');
    expect(await k.run('exec greeter -- sh -c'.split(' ').concat('cat; exit 3'), { stdin: 'x' })).toMatchObject({
      code: 3,
    });
    expect(await k.ok('exec -i greeter -- cat', { stdin: 'through' })).toBe('through');
    const bound = await k.ok('create token default --bound-object-kind=Pod --bound-object-name=greeter');
    const claims = Buffer.from(bound.split('.')[1]!, 'base64url').toString();
    const uid = await k.field('.metadata.uid', 'node', await k.field('.spec.nodeName', 'pod', 'greeter'));
    expect(JSON.parse(claims)['kubernetes.io'].node.uid).toBe(uid);
    mkdirSync(join(place, 'tree'), { recursive: true });
    writeFileSync(join(place, 'tree', 'in.txt'), 'copied');
    const work = (await k.ok(['exec', 'greeter', '--', 'sh', '-c', 'echo $HOME'])).trim();
    await k.ok(`cp ${place}/tree greeter:${work}/tree`);
    expect(await k.ok(`exec greeter -- cat ${work}/tree/in.txt`)).toBe('copied');
    await k.ok(`cp greeter:${work}/tree/in.txt ${place}/out.txt`);
    expect(readFileSync(join(place, 'out.txt'), 'utf8')).toBe('copied');
    const attached = await k.run(
      'run echo -i --rm --quiet --image=pintle/demo:local --restart=Never --command -- cat',
      { stdin: 'to the end\n' },
    );
    expect(attached).toMatchObject({ code: 0, out: 'to the end\n' });
    await k.ok('run server --image=pintle/demo:local --port=8080 --expose');
    await k.ok('wait pod/server --for=condition=Ready --timeout=120s');
    for (const target of ['pod/server', 'service/server']) {
      await using forward = await k.background(`port-forward ${target} :8080`, /->/);
      const port = (await forward.said(/127\.0\.0\.1:(\d+)/))[1];
      await until('an answer', async () => (await fetch(`http://127.0.0.1:${port}/healthz`)).ok);
    }
    await using proxy = await k.background('proxy --port=0', /Starting to serve on 127\.0\.0\.1:(\d+)/);
    const base = `http://127.0.0.1:${(await proxy.said(/:(\d+)/))[1]}`;
    expect(((await (await fetch(`${base}/api/v1/namespaces/${namespace}`)).json()) as { kind: string }).kind).toBe(
      'Namespace',
    );
    expect(await (await fetch(`${base}/api/v1/namespaces/${namespace}/pods/server:8080/proxy/healthz`)).text()).toBe(
      'ok\n',
    );
    await until(
      'through the service',
      async () =>
        (await (await fetch(`${base}/api/v1/namespaces/${namespace}/services/server/proxy/healthz`)).text()) === 'ok\n',
    );
    await k.untilSays('Started', 'describe pod greeter server');
    expect(
      await k.run('debug greeter --image=pintle/demo:local -i --quiet --profile=general -- echo looked'.split(' ')),
    ).toMatchObject({ code: 0 });
    expect(await k.field('.spec.ephemeralContainers[*].image', 'pod', 'greeter')).toBe('pintle/demo:local');
    expect(await k.ok('top pods server')).toMatch(/^NAME +CPU\(cores\) +MEMORY\(bytes\)\s+server +\d+m +\d+Mi/);
    await k.ok('delete pod greeter server --grace-period=1 --timeout=120s');
  });

  test('rights: can-i, whoami, as somebody else, reconcile, certificates', async () => {
    expect(await k.ok('auth can-i create pods')).toBe('yes\n');
    const robot = `--as=system:serviceaccount:${namespace}:robot`;
    expect(await k.refused(`auth can-i delete secrets ${robot}`)).toBe('no\n');
    expect(await k.ok(`auth can-i --list ${robot}`)).toMatch(/configmaps +\[\] +\[\] +\[get list\]/);
    expect(await k.ok('auth whoami')).toContain('system:masters');
    expect(await k.ok(`auth whoami ${robot} -o jsonpath={.status.userInfo.username}`)).toBe(robot.slice(5));
    expect(await k.refused(`get secrets ${robot}`)).toContain(
      `User "${robot.slice(5)}" cannot list resource "secrets"`,
    );
    const role = {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'Role',
      metadata: { name: 'reader', namespace }, // reconcile does not fill it in
      rules: [{ apiGroups: [''], resources: ['pods'], verbs: ['get'] }],
    };
    expect(await k.ok('auth reconcile -f -', { stdin: JSON.stringify(role) })).toContain('reconciled');
    expect(await k.field('.rules[*].resources[0]', 'role', 'reader')).toContain('configmaps');
    writeFileSync(join(place, 'key.pem'), '');
    Bun.spawnSync([
      'openssl',
      'req',
      '-new',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-subj',
      '/CN=someone',
      '-keyout',
      join(place, 'key.pem'),
      '-out',
      join(place, 'csr.pem'),
    ]);
    for (const verb of ['approve', 'deny']) {
      const name = `${namespace}-${verb}`;
      await k.apply({
        apiVersion: 'certificates.k8s.io/v1',
        kind: 'CertificateSigningRequest',
        metadata: { name },
        spec: {
          request: readFileSync(join(place, 'csr.pem')).toString('base64'),
          signerName: 'example.org/any',
          usages: ['client auth'],
        },
      });
      await k.ok(`certificate ${verb} ${name}`);
      expect(await k.field('.status.conditions[0].type', 'csr', name)).toBe(verb === 'approve' ? 'Approved' : 'Denied');
      await k.ok(`delete csr ${name}`);
    }
  });

  test('deletes: by selector, by file, with and without dependants, a whole namespace', async () => {
    for (const name of ['d1', 'd2']) await k.apply(configMap(name, {}, { labels: { gone: 'soon' } }));
    expect(await k.ok('delete cm -l gone=soon --dry-run=server')).toContain('(server dry run)');
    expect((await k.ok('delete cm -l gone=soon')).split('\n').length).toBe(3);
    await k.apply(sleeper('lone'));
    await k.untilField('Running', '.status.phase', 'pod', 'lone');
    await using _waits = await k.background('get pod lone -w -o name', /lone/);
    expect((await k.run('delete pod lone --grace-period=0 --force')).err).toContain('Immediate deletion');
    await k.apply({
      apiVersion: 'v1',
      kind: 'ReplicationController',
      metadata: { name: 'orphans' },
      spec: {
        replicas: 1,
        selector: { app: 'orphan' },
        template: templateOf('orphan'),
      },
    });
    await until('the pod', async () => (await k.ok('get pods -l app=orphan -o name')) !== '');
    await k.ok('delete rc orphans --cascade=orphan');
    expect(await k.field('.items[0].metadata.ownerReferences', 'pods', '-l', 'app=orphan')).toBe('');
    await k.ok(
      `delete clusterrole/${namespace} clusterrole/${namespace}-sum clusterrolebinding/${namespace} priorityclass/${namespace}`,
    );
    await k.ok(`delete namespace ${namespace} --timeout=120s`);
    expect(await k.refused(`get namespace ${namespace}`)).toContain('NotFound');
  });
});

test.skipIf(kubectls.length === 0)('the examples of this repository apply', async () => {
  const k = new Kubectl(cluster, kubectls.at(-1)!.path, 'default');
  await k.ok(`apply -f ${join(repository, 'examples')}`);
  await k.ok(`delete -f ${join(repository, 'examples')}`);
});
