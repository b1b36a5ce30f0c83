// `plugin dev`, in this process: a cluster in memory, a plugin that is loaded anew when it is saved.
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Kind, KubeObject } from '#api';
import { createClient } from '../core/client/http.ts';
import { develop } from '../core/cmd/dev/dev.ts';
import { newPlugin } from '../core/cmd/plugin-new.ts';
import { catalog } from '../plugins/standard/catalog.ts';

let place: string;
beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), 'ptd-'));
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

const helloKind = {
  group: 'hello.example.com',
  version: 'v1',
  kind: 'Hello',
  plural: 'hellos',
  singular: 'hello',
  namespaced: true,
  type: 'hello.example.com/v1.Hello',
} as Kind<KubeObject & { status?: { said?: string } }>;
const key = { namespace: 'default', name: 'one' };
async function until(what: string, look: () => Promise<boolean> | boolean, limitMs = 40_000): Promise<void> {
  for (const end = performance.now() + limitMs; performance.now() < end; await Bun.sleep(10))
    if (await Promise.resolve(look()).catch(() => false)) return;
  throw new Error(`not within ${limitMs / 1_000} s: ${what}`);
}

test('it is loaded anew when saved; while the source is broken the version before goes on; nothing is left', async () => {
  const folder = join(place, 'hello');
  await newPlugin(folder);
  const file = join(folder, 'plugin.ts');
  const text = readFileSync(file, 'utf8');
  const stop = new AbortController();
  const lines: string[] = [];
  const said = (part: string) => lines.filter((line) => line.includes(part)).length;
  const running = develop(folder, {}, catalog, { say: (line) => void lines.push(line), signal: stop.signal });
  try {
    await until('it runs', () => said('runs after') === 1);
    const config = lines.find((line) => line.includes('KUBECONFIG='))!.split('KUBECONFIG=')[1]!;
    const { clusters, users } = JSON.parse(readFileSync(config, 'utf8')) as {
      clusters: { cluster: { server: string; 'certificate-authority-data': string } }[];
      users: { user: { token: string } }[];
    };
    const { server, 'certificate-authority-data': ca } = clusters[0]!.cluster;
    const tls = { ca: Buffer.from(ca, 'base64').toString() };
    const { token } = users[0]!.user;
    const client = createClient({ fetch: (request) => fetch(request, { tls }), baseUrl: server, token });
    await client.create(helloKind, {
      apiVersion: 'hello.example.com/v1',
      kind: 'Hello',
      metadata: key,
      spec: { text: 'hi' },
    } as KubeObject);
    const says = (wanted: string) => async () => (await client.get(helloKind, key)).status?.said === wanted;
    await until('its status', says('hi'));
    writeFileSync(file, text.replace('said: spec.text', 'said: spec.text + "!"'));
    await until('the newer version', says('hi!'));
    writeFileSync(file, 'broken(');
    await until('the report', () => said('not loaded, the version before goes on') === 1);
    writeFileSync(file, text.replace('setup({ reconcile }) {', 'setup({ reconcile }) { throw new Error("oh no");'));
    await until('the other report', () => said('oh no') === 1);
    await client.patch(helloKind, key, { type: 'merge', body: { spec: { text: 'still' } } });
    await until('the version before still works', says('still!'));
    writeFileSync(file, text.replace('t.string() }),\n  status', 't.int() }),\n  status'));
    await until(
      'a change that breaks what is stored is refused',
      () => said('type changes from "string" to "integer"') === 1,
    );
    writeFileSync(file, text.replace('said: spec.text', 'said: spec.text + "?"'));
    await until('the last version', says('still?'));
  } finally {
    stop.abort();
    await running;
  }
  expect(lines.at(-1)).toBe('stopped; nothing is left of this cluster');
  const left = readdirSync('/proc').filter((pid) => {
    try {
      return (
        readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('core/cmd/dev/child.ts') && parentOf(pid) === process.pid
      );
    } catch {
      return false;
    }
  });
  await until('no process is left', () => left.every((pid) => !isAlive(Number(pid))));
}, 120_000);

/** What the inspector answers, by number, and what it tells by itself. */
async function attach(address: string) {
  const socket = new WebSocket(address);
  const told: { readonly method: string; readonly params: Record<string, unknown> }[] = [];
  const answers = new Map<number, (result: unknown) => void>();
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(String(data)) as { id?: number; result?: unknown; method: string; params: never };
    if (message.id === undefined) told.push(message);
    else answers.get(message.id)?.(message.result);
  };
  await new Promise((opened, failed) => {
    socket.onopen = opened;
    socket.onerror = failed;
  });
  let count = 0;
  const ask = <T>(method: string, params: object = {}): Promise<T> =>
    new Promise((answered) => {
      answers.set(++count, answered as (result: unknown) => void);
      socket.send(JSON.stringify({ id: count, method, params }));
    });
  return { ask, told, [Symbol.dispose]: () => socket.close() };
}

test('--inspect: a debugger attaches to the plugin and sees its source, and to the next one after a save', async () => {
  const folder = join(place, 'inspected');
  await newPlugin(folder);
  const file = join(folder, 'plugin.ts');
  const stop = new AbortController();
  const lines: string[] = [];
  const running = develop(folder, { inspect: true }, catalog, {
    say: (line) => void lines.push(line),
    signal: stop.signal,
  });
  const addresses = () => lines.flatMap((line) => /^debugger: (ws:\/\/127\.0\.0\.1:\d+\/\S+)/.exec(line)?.[1] ?? []);
  const runs = (times: number) =>
    until('it runs', () => lines.filter((line) => line.includes('runs after')).length === times);
  interface Evaluated {
    readonly result: { readonly value: unknown };
  }
  try {
    await runs(1);
    expect(addresses().length).toBe(1);
    using first = await attach(addresses()[0]!);
    await first.ask('Inspector.enable');
    await first.ask('Runtime.enable');
    await first.ask('Debugger.enable');
    const { result } = await first.ask<Evaluated>('Runtime.evaluate', { expression: 'process.argv[1]' });
    expect(String(result.value)).toEndWith('core/cmd/dev/child.ts');
    await until('the plugin is among its scripts', () =>
      first.told.some(({ method, params }) => method === 'Debugger.scriptParsed' && String(params['url']) === file),
    );
    writeFileSync(file, `${readFileSync(file, 'utf8')}\n// again\n`);
    await runs(2);
    expect(addresses().length).toBe(2);
    using second = await attach(addresses()[1]!);
    await second.ask('Runtime.enable');
    expect((await second.ask<Evaluated>('Runtime.evaluate', { expression: '6 * 7' })).result.value).toBe(42);
  } finally {
    stop.abort();
    await running;
  }
}, 120_000);

const parentOf = (pid: string): number =>
  Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
