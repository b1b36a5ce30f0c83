// The main job without root and without a container engine: as an unprivileged user that exists as a number only.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readUntil } from '../fixtures/read-until.ts';
import { skipped } from '../fixtures/skipped.ts';

const root = join(import.meta.dir, '../..');
const isRoot = process.getuid!() === 0;
const uid = isRoot ? 61_000 + (process.pid % 4_000) : process.getuid!();
const asUser = isRoot ? ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'] : [];
const reaches =
  Bun.spawnSync([...asUser, process.execPath, '--version'], { cwd: '/' }).success &&
  Bun.spawnSync([...asUser, 'test', '-x', join(root, 'pintle')], { cwd: '/' }).success;
const kubectl = Bun.which('kubectl');
const able = reaches && kubectl !== null && Bun.which('script') !== null;
if (!able)
  skipped(
    'e2e',
    'the main job without root',
    'it needs kubectl, script, and Bun and this checkout where an unprivileged user reaches them',
  );

interface Result {
  readonly code: number;
  readonly out: string;
}
let place: string;
const home = () => join(place, 'h');
const second = () => join(place, 'h2');
function start(argv: string[], more: Record<string, string> = {}, stdin: string = '') {
  return Bun.spawn([...asUser, ...argv], {
    cwd: '/',
    stdin: new TextEncoder().encode(stdin),
    stdout: 'pipe',
    stderr: 'pipe',
    env: { PATH: process.env['PATH']!, HOME: place, KUBECONFIG: join(home(), 'kubeconfig'), ...more },
  });
}
const run = (...argv: string[]): Promise<Result> => ended(start(argv));
/** The client that stands in for stock kubectl where there is none. */
const builtin = (words: string, stdin = ''): Promise<Result> =>
  ended(
    start(
      [join(root, 'pintle'), 'kubectl', '--home', home(), ...words.split(' ')],
      { PINTLE_KUBECTL: 'builtin' },
      stdin,
    ),
  );
async function ended(child: ReturnType<typeof start>): Promise<Result> {
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code, out: out + err };
}
const pintle = (...args: string[]) => run(join(root, 'pintle'), ...args);
const kube = (...args: string[]) => run('kubectl', ...args);
async function ok(result: Promise<Result>): Promise<string> {
  const { code, out } = await result;
  if (code !== 0) throw new Error(`exit code ${code}: ${out}`);
  return out;
}
async function until<T>(what: string, look: () => Promise<T | undefined>, limitMs = 90_000): Promise<T> {
  for (const end = performance.now() + limitMs; performance.now() < end; await Bun.sleep(50)) {
    const found = await look();
    if (found !== undefined) return found;
  }
  throw new Error(`not in time: ${what}\n${(await kube('get', 'pods,events', '-A')).out}`);
}
const field = async (path: string, ...what: string[]) => (await kube('get', ...what, '-o', `jsonpath={${path}}`)).out;
const untilField = (expected: string, path: string, ...what: string[]) =>
  until(`${what.join(' ')} ${path} = ${expected}`, async () =>
    (await field(path, ...what)) === expected ? true : undefined,
  );
const eventOf = (name: string, text: string) =>
  until(`an event of ${name} with ${text}`, async () => {
    const said = await field('.items[*].message', 'events', '--field-selector', `involvedObject.name=${name}`);
    return said.includes(text) ? said : undefined;
  });
async function apply(object: object): Promise<void> {
  const path = join(place, 'object.json');
  writeFileSync(path, JSON.stringify(object), { mode: 0o644 });
  await ok(kube('apply', '-f', path));
}
const pod = (name: string, container: object, more: object = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, labels: { app: name } },
  spec: {
    terminationGracePeriodSeconds: 5,
    containers: [{ name: 'main', image: 'pintle/demo:local', imagePullPolicy: 'IfNotPresent', ...container }],
    ...more,
  },
});
/** Of this user, but for those that have ended. */
function processes(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const status = readFileSync(`/proc/${pid}/status`, 'utf8');
        const own = new RegExp(`^Uid:\\s+${uid}\\s`, 'm').test(status) && !/^State:\s+Z/m.test(status);
        return own ? [`${pid} ${readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')}`] : [];
      } catch {
        return [];
      }
    });
}
const ofThisTest = () => processes().filter((line) => isRoot || line.includes(place));

describe.skipIf(!able)('the main job as an unprivileged user', () => {
  beforeAll(async () => {
    place = mkdtempSync(join(tmpdir(), 'pu-'));
    if (isRoot) chownSync(place, uid, uid);
    const said = await ok(pintle('up', '--yes', '--detach', '--home', home(), '--runtime', 'process'));
    expect(said).toContain('The cluster is ready');
    await ok(pintle('image', 'demo', '--home', home()));
  });
  afterAll(async () => {
    if (!place) return;
    for (const each of [home(), second()])
      if (existsSync(each)) await pintle('down', '--purge', '--yes', '--home', each);
    rmSync(place, { recursive: true, force: true });
  });

  test('it says what running without root means', async () => {
    const said = await ok(pintle('up', '--yes', '--detach', '--home', second()));
    if (uid !== 0) expect(said).toContain('process runtime (not root)');
    const [one, two] = [home(), second()].map((each) => JSON.parse(readFileSync(join(each, 'config.json'), 'utf8')));
    expect(new Set([one.podCidr, one.serviceCidr, two.podCidr, two.serviceCidr]).size).toBe(4);
    for (const range of [one.podCidr, two.serviceCidr]) expect(range).toStartWith('127.');
    await ok(pintle('down', '--purge', '--yes', '--home', second()));
    expect(existsSync(second())).toBe(false);
  });

  test('the demo passes', async () => {
    expect(await ok(pintle('demo', '--home', home()))).toContain('Every step passed.');
  });

  test('kubectl: apply, get, logs, exec with and without a terminal, port-forward', async () => {
    await ok(kube('apply', '-f', join(root, 'examples', 'web.yaml')));
    await untilField('3', '.status.readyReplicas', 'rc', 'web');
    const name = await field('.items[0].metadata.name', 'pods', '-l', 'app=web');
    expect(await ok(kube('logs', name))).toContain(`${name} listens on 127.`);
    expect(await kube('exec', name, '--', 'sh', '-c', 'id -u; exit 3')).toMatchObject({
      code: 3,
      out: expect.stringContaining(String(uid)),
    });
    const terminal = await run('script', '-qec', `kubectl exec -it ${name} -- sh -c "stty size; exit 4"`, '/dev/null');
    expect(terminal.out).toMatch(/\d+ \d+/);
    expect(terminal.code).toBe(4);
    const node = await field('.spec.ports[0].nodePort', 'service', 'web');
    await until('the node port answers', async () => {
      const answer = await fetch(`http://127.0.0.1:${node}/`, { keepalive: false }).catch(() => undefined);
      return (await answer?.text())?.startsWith('web-') ? true : undefined;
    });
    const forward = start(['kubectl', 'port-forward', 'service/web', ':8080']);
    try {
      const said = await readUntil(forward.stdout.getReader(), '->'); // kept open: kubectl ends when it cannot write
      const port = /127\.0\.0\.1:(\d+)/.exec(said)![1]!;
      expect(await (await fetch(`http://127.0.0.1:${port}/healthz`)).text()).toBe('ok\n');
    } finally {
      forward.kill();
      await forward.exited;
    }
  });

  test('the built-in kubectl: get, describe, scale, logs, exec, apply, delete', async () => {
    expect(await ok(builtin('get pods -l app=web --no-headers'))).toMatch(/^(web-\w+ +1\/1 +Running .*\n){3}$/);
    expect(JSON.parse(await ok(builtin('get rc web -o json'))).kind).toBe('ReplicationController');
    expect(await ok(builtin('scale rc/web --replicas=2'))).toBe('replicationcontroller/web scaled\n');
    await untilField('2', '.status.readyReplicas', 'rc', 'web');
    await until('the events of rc web', async () =>
      /replicas: 2(.|\n)*Events:\n(.|\n)*SuccessfulCreate/.test(await ok(builtin('describe rc web')))
        ? true
        : undefined,
    );
    expect(await ok(builtin('logs rc/web --tail 1'))).toMatch(/^web-\w+ listens on/);
    expect(await builtin('exec -i rc/web -- cat', 'through')).toEqual({ code: 0, out: 'through' });
    expect((await builtin('exec rc/web -- false')).code).toBe(1);
    const object = JSON.stringify({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'built' },
      data: { a: '1' },
    });
    expect(await ok(builtin('apply -f -', object))).toBe('configmap/built created\n');
    expect(await ok(builtin('apply -f -', object))).toBe('configmap/built unchanged\n');
    expect(await ok(builtin('apply -f -', object.replace('"1"', '"2"')))).toBe('configmap/built configured\n');
    expect(await ok(builtin('delete configmap built'))).toBe('configmap "built" deleted\n');
    expect(await builtin('get configmap built')).toEqual({
      code: 1,
      out: 'Error from server (NotFound): configmaps "built" not found\n',
    });
    expect(await builtin('port-forward web 80')).toMatchObject({
      code: 1,
      out: expect.stringContaining('needs stock kubectl'),
    });
    await ok(builtin('scale rc web --replicas=3'));
    await untilField('3', '.status.readyReplicas', 'rc', 'web');
  });

  test('the API server proxies to live pods and services of the cluster, and to nothing else on loopback', async () => {
    await until('the service has endpoints', async () => {
      const { code, out } = await kube('get', '--raw', '/api/v1/namespaces/default/services/web:http/proxy/healthz');
      return code === 0 && out === 'ok\n' ? true : undefined;
    });
    const node = await field('.items[0].metadata.name', 'nodes');
    const { port } = JSON.parse(readFileSync(join(home(), 'config.json'), 'utf8'));
    expect((await kube('get', '--raw', `/api/v1/nodes/${node}:${port}/proxy/`)).out).toContain('address not allowed');
    await apply({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'evil' }, spec: { ports: [{ port: 8080 }] } });
    await apply({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: 'evil', labels: { 'kubernetes.io/service-name': 'evil' } },
      addressType: 'IPv4',
      ports: [{ port }],
      endpoints: [{ addresses: ['127.0.0.1'] }],
    });
    expect((await kube('get', '--raw', '/api/v1/namespaces/default/services/evil/proxy/')).out).toContain(
      'address not allowed',
    );
    await ok(kube('delete', 'service/evil', 'endpointslice/evil'));
  });

  test('volumes, the pod’s own host name, and an unmodified in-cluster client', async () => {
    await apply({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'settings' }, data: { key: 'one' } });
    const client = `const d = "/var/run/secrets/kubernetes.io/serviceaccount/"; const e = process.env;
      const answer = await fetch("https://" + e.KUBERNETES_SERVICE_HOST + ":" + e.KUBERNETES_SERVICE_PORT + "/api", {
        headers: { authorization: "Bearer " + (await Bun.file(d + "token").text()) }, tls: { ca: await Bun.file(d + "ca.crt").text() } });
      console.log("api", answer.status);`;
    await apply(
      pod(
        'volumes',
        {
          command: [
            'sh',
            '-c',
            'hostname; cat /etc/pintle-e2e/key /labels/labels; echo; touch /tmp/mine; cat "$(dirname $0)/../etc/hosts" >/dev/null; exec sleep 1000',
          ],
          volumeMounts: [
            { name: 'settings', mountPath: '/etc/pintle-e2e' },
            { name: 'labels', mountPath: '/labels' },
            { name: 'scratch', mountPath: '/tmp' },
          ],
        },
        {
          hostname: 'own-name',
          volumes: [
            { name: 'settings', configMap: { name: 'settings' } },
            {
              name: 'labels',
              downwardAPI: { items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }] },
            },
            { name: 'scratch', emptyDir: {} },
          ],
        },
      ),
    );
    await untilField('Running', '.status.phase', 'pod', 'volumes');
    await until('the log', async () =>
      (await kube('logs', 'volumes')).out.includes('app="volumes"') ? true : undefined,
    );
    expect(await ok(kube('logs', 'volumes'))).toStartWith('own-name\noneapp="volumes"\n');
    expect(await ok(kube('exec', 'volumes', '--', 'sh', '-c', 'ls /tmp; cat /etc/hosts'))).toMatch(
      /^mine\n(.|\n)*own-name/,
    );
    expect(await ok(kube('exec', 'volumes', '--', 'bun', '-e', client))).toBe('api 200\n');
    expect(existsSync('/etc/pintle-e2e')).toBe(false);
  });

  test('what cannot be honoured stops its pod or port with an event that says what to do', async () => {
    await apply(pod('unknown', { image: 'nowhere/none:1' }));
    expect(await eventOf('unknown', 'cannot pull')).toContain('pintle image demo');
    await until('its pull fails', async () => {
      const reason = await field('.status.containerStatuses[0].state.waiting.reason', 'pod', 'unknown');
      return ['ErrImagePull', 'ImagePullBackOff'].includes(reason) ? true : undefined;
    });
    await apply(pod('other-user', { securityContext: { runAsUser: 1 } }));
    expect(await eventOf('other-user', 'the user 1')).toContain('cannot give container main the user 1');
    await apply({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'low' },
      spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }] },
    });
    await eventOf('low', 'ports below 1024 need root');
    await ok(kube('delete', 'pod/unknown', 'pod/other-user', 'service/low'));
  });

  test('a container that fails is restarted with back-off; its former log is kept; stopping asks first', async () => {
    await apply(pod('fails', { command: ['sh', '-c', 'echo once; exit 7'] }));
    await until('a restart', async () =>
      Number(await field('.status.containerStatuses[0].restartCount', 'pod', 'fails')) > 0 ? true : undefined,
    );
    expect(await ok(kube('logs', '--previous', 'fails'))).toBe('once\n');
    await untilField('CrashLoopBackOff', '.status.containerStatuses[0].state.waiting.reason', 'pod', 'fails');
    await apply(
      pod('asked', { command: ['sh', '-c', 'trap "echo goodbye; exit 0" TERM; echo up; while :; do sleep 0.1; done'] }),
    );
    await until('its log', async () => ((await kube('logs', 'asked')).out.includes('up') ? true : undefined));
    const follow = start(['kubectl', 'logs', '-f', 'asked']);
    const reader = follow.stdout.getReader();
    let said = await readUntil(reader, 'up');
    await ok(kube('delete', 'pod', 'asked', 'fails'));
    for (let part = await reader.read(); !part.done; part = await reader.read())
      said += new TextDecoder().decode(part.value);
    expect(said).toBe('up\ngoodbye\n');
    await follow.exited;
  });

  test('down leaves the pods running; the next up adopts them; a killed component comes back', async () => {
    const pids = () =>
      processes()
        .filter((line) => line.includes('demo-server'))
        .map((line) => line.split(' ')[0])
        .sort();
    const before = pids();
    expect(before).toHaveLength(3);
    await ok(pintle('down', '--home', home()));
    expect(pids()).toEqual(before);
    expect(processes().filter((line) => line.includes('plugins/standard/main.ts'))).toEqual([]);
    await ok(pintle('up', '--detach', '--home', home()));
    const nodeProcess = processes()
      .find((line) => line.includes('component node'))!
      .split(' ')[0]!;
    process.kill(Number(nodeProcess), 'SIGKILL');
    await until('the node process', async () =>
      processes().some((line) => line.includes('component node') && !line.startsWith(`${nodeProcess} `))
        ? true
        : undefined,
    );
    const ip = await field('.spec.clusterIP', 'service', 'web');
    await until('the service', async () => {
      const answer = await fetch(`http://${ip}:8080/healthz`, { keepalive: false }).catch(() => undefined);
      return answer?.ok ? true : undefined;
    });
    expect(pids()).toEqual(before);
    expect(await field('.items[*].status.containerStatuses[0].restartCount', 'pods', '-l', 'app=web')).toBe('0 0 0');
  });

  test('down --purge leaves nothing', async () => {
    await ok(pintle('down', '--purge', '--yes', '--home', home()));
    expect(existsSync(home())).toBe(false);
    await until('no process is left', async () => (ofThisTest().length === 0 ? true : undefined));
  });
});

describe.skipIf(!able || !isRoot)('the main job as root on the process runtime', () => {
  let folder: string;
  const asRoot = async (...argv: string[]): Promise<string> => {
    const child = Bun.spawn(argv, {
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'pipe',
      env: { ...process.env, KUBECONFIG: join(folder, 'h', 'kubeconfig') },
    });
    const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    if (code !== 0) throw new Error(`${argv.join(' ')}: exit code ${code}: ${out}${err}`);
    return out + err;
  };
  const command = (...args: string[]) => asRoot(join(root, 'pintle'), ...args, '--home', join(folder, 'h'));
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'pr-'));
    expect(await command('up', '--yes', '--detach', '--runtime', 'process')).toContain('process runtime (as asked)');
    await command('image', 'demo');
  });
  afterAll(async () => {
    if (existsSync(join(folder, 'h'))) await command('down', '--purge', '--yes');
    rmSync(folder, { recursive: true, force: true });
  });

  test('the pod’s user, groups and capabilities, a memory volume, and a port below 1024', async () => {
    writeFileSync(
      join(folder, 'object.json'),
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'List',
        items: [
          pod(
            'user',
            {
              volumeMounts: [{ name: 'memory', mountPath: '/memory' }],
              securityContext: { capabilities: { drop: ['ALL'] }, allowPrivilegeEscalation: false },
            },
            {
              securityContext: { runAsUser: 12345, runAsGroup: 23456, fsGroup: 34567 },
              volumes: [{ name: 'memory', emptyDir: { medium: 'Memory' } }],
            },
          ),
          {
            apiVersion: 'v1',
            kind: 'Service',
            metadata: { name: 'user' },
            spec: { selector: { app: 'user' }, ports: [{ port: 80, targetPort: 8080 }] },
          },
        ],
      }),
    );
    await asRoot('kubectl', 'apply', '-f', join(folder, 'object.json'));
    await asRoot('kubectl', 'wait', 'pod/user', '--for=condition=Ready', '--timeout=120s');
    expect(
      await asRoot(
        'kubectl',
        'exec',
        'user',
        '--',
        'sh',
        '-c',
        'id; echo x >/memory/x && stat -f -c %T /memory; grep -E "CapBnd|NoNewPrivs" /proc/self/status',
      ),
    ).toBe('uid=12345 gid=23456 groups=34567\ntmpfs\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1\n');
    const ip = (await asRoot('kubectl', 'get', 'service', 'user', '-o', 'jsonpath={.spec.clusterIP}')).trim();
    const answer = await until('the service', async () => {
      const asked = await fetch(`http://${ip}/`, { keepalive: false }).catch(() => undefined);
      return asked?.ok ? asked.text() : undefined;
    });
    expect(answer).toBe('user\n');
  });

  test('down --purge leaves nothing', async () => {
    await command('down', '--purge', '--yes');
    expect(existsSync(join(folder, 'h'))).toBe(false);
    expect(readFileSync('/proc/self/mounts', 'utf8')).not.toContain(folder);
  });
});
