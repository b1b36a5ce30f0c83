// What programs do with @kubernetes/client-node: lists, watches, informers, patches, exec, logs, port-forward, a lock by Lease.
// KUBECONFIG names the cluster, the arguments a namespace with a ready pod `server` of the demo image, and the package.
// Prints `ok STEP` for each thing that worked.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { PassThrough, Writable } from 'node:stream';
import { pathToFileURL } from 'node:url';

const [, , namespace, folder] = process.argv;
const k8s = await import(pathToFileURL(createRequire(`${folder}/`).resolve('@kubernetes/client-node')).href);
const config = new k8s.KubeConfig();
config.loadFromDefault();
const core = config.makeApiClient(k8s.CoreV1Api);
const ok = (step) => console.log(`ok ${step}`);
const configMap = (name, data = { a: '1' }) => ({ metadata: { name, labels: { set: 'js' } }, data });
const labelSelector = 'set=js';
const path = `/api/v1/namespaces/${namespace}/configmaps`;
/** Keeps what is written and tells when it holds something. */
function sink() {
  let text = '';
  let check = () => {};
  const stream = new Writable({
    write(chunk, _encoding, done) {
      text += chunk;
      check();
      done();
    },
  });
  const holds = (part) =>
    new Promise((resolve) => {
      check = () => text.includes(part) && resolve(text);
      check();
    });
  return { stream, holds, text: () => text };
}

for (let index = 0; index < 7; index++)
  await core.createNamespacedConfigMap({ namespace, body: configMap(`js-${index}`) });
const names = [];
let page = { metadata: {} };
do {
  page = await core.listNamespacedConfigMap({ namespace, labelSelector, limit: 3, _continue: page.metadata._continue });
  names.push(...page.items.map((item) => item.metadata.name));
} while (page.metadata._continue);
assert.deepEqual(names, ['js-0', 'js-1', 'js-2', 'js-3', 'js-4', 'js-5', 'js-6']);
ok('list in pages');

const events = [];
await new Promise((resolve, reject) => {
  const query = { labelSelector, resourceVersion: page.metadata.resourceVersion, allowWatchBookmarks: true };
  const each = (type, object) => {
    if (type !== 'BOOKMARK') events.push(`${type} ${object.metadata.name}`);
    if (events.length === 2) resolve();
  };
  new k8s.Watch(config)
    .watch(path, query, each, reject)
    .then(async () => {
      const options = k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.StrategicMergePatch);
      await core.patchNamespacedConfigMap({ namespace, name: 'js-0', body: { data: { a: '2' } } }, options);
      await core.deleteNamespacedConfigMap({ namespace, name: 'js-1' });
    })
    .catch(reject);
});
assert.deepEqual(events, ['MODIFIED js-0', 'DELETED js-1']);
ok('watch from a version');

const informer = k8s.makeInformer(
  config,
  path,
  () => core.listNamespacedConfigMap({ namespace, labelSelector }),
  labelSelector,
);
const late = new Promise((resolve) => informer.on('add', (item) => item.metadata.name === 'js-late' && resolve()));
await informer.start();
await core.createNamespacedConfigMap({ namespace, body: configMap('js-late') });
await late;
assert.equal(informer.get('js-0', namespace).data.a, '2');
await informer.stop();
ok('informer');

await core.deleteCollectionNamespacedConfigMap({ namespace, labelSelector });
const gone = await core.readNamespacedConfigMap({ namespace, name: 'js-0' }).catch((error) => error);
assert.equal(gone.code, 404);
assert.equal(JSON.parse(gone.body).reason, 'NotFound');
ok('errors and deletecollection');

const objects = k8s.KubernetesObjectApi.makeApiClient(config);
const applied = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'js-applied', namespace }, data: { a: '1' } };
await objects.patch(applied, undefined, undefined, 'js', undefined, k8s.PatchStrategy.ServerSideApply);
assert.equal((await objects.read(applied)).data.a, '1');
await objects.delete(applied);
ok('any object and server-side apply');

const out = sink();
const err = sink();
const status = await new Promise((resolve, reject) =>
  new k8s.Exec(config)
    .exec(
      namespace,
      'server',
      'server',
      ['sh', '-c', 'echo out; echo err >&2; exit 3'],
      out.stream,
      err.stream,
      null,
      false,
      resolve,
    )
    .catch(reject),
);
assert.deepEqual([out.text(), err.text(), status.details.causes[0].message], ['out\n', 'err\n', '3']);
const shell = sink();
const typed = new PassThrough();
const socket = await new k8s.Exec(config).exec(namespace, 'server', 'server', ['sh'], shell.stream, null, typed, true);
typed.write('echo thr""ough\n');
await shell.holds('through');
socket.close();
ok('exec');

const log = sink();
const following = await new k8s.Log(config).log(namespace, 'server', 'server', log.stream, { follow: true });
await log.holds('listens on');
following.abort();
ok('logs');

const answer = sink();
const asked = new PassThrough();
const forward = await new k8s.PortForward(config).portForward(namespace, 'server', [8080], answer.stream, null, asked);
asked.write('GET /healthz HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n');
assert.match(await answer.holds('ok\n'), /200 OK/);
forward.close();
ok('port-forward');

// It has no election of its own; programs take a Lease with its version as the guard.
const leases = config.makeApiClient(k8s.CoordinationV1Api);
const lease = await leases.createNamespacedLease({
  namespace,
  body: {
    metadata: { name: 'js-leader' },
    spec: { holderIdentity: 'first', leaseDurationSeconds: 15, renewTime: new k8s.V1MicroTime() },
  },
});
const renewed = { ...lease, spec: { ...lease.spec, renewTime: new k8s.V1MicroTime() } };
await leases.replaceNamespacedLease({ namespace, name: 'js-leader', body: renewed });
const late2 = { ...lease, spec: { ...lease.spec, holderIdentity: 'second' } };
const lost = await leases.replaceNamespacedLease({ namespace, name: 'js-leader', body: late2 }).catch((error) => error);
assert.equal(lost.code, 409);
ok('leader election');
process.exit(0);
