import { afterAll, beforeAll, expect, test } from 'bun:test';
import { chownSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Each is one attempt to get out or at something: it must throw, or answer what is not the treasure. */
const attempts: Readonly<Record<string, string>> = {
  'read /etc/passwd': 'fs.readFileSync("/etc/passwd", "utf8")',
  'read /etc/shadow': 'fs.readFileSync("/etc/shadow", "utf8")',
  'read another environment': 'fs.readFileSync("/proc/1/environ", "utf8")',
  "read the host's environment": 'fs.readFileSync("/proc/" + process.ppid + "/environ", "utf8")',
  'list processes': 'fs.readdirSync("/proc").filter((name) => /^[0-9]+$/.test(name))[0].length',
  'read a mark of the host': 'fs.readFileSync(MARK, "utf8")',
  'read it through a link in the bundle': 'fs.readFileSync("/plugin/link", "utf8")',
  'read it through a link in the state':
    '(fs.symlinkSync(MARK, "/state/link"), fs.readFileSync("/state/link", "utf8"))',
  'read it by climbing': 'fs.readFileSync("/state/../../../../../.." + MARK, "utf8")',
  'read it through its own root': 'fs.readFileSync("/proc/self/root/.." + MARK, "utf8")',
  'read it through its folder': 'fs.readFileSync("/proc/self/cwd/../.." + MARK, "utf8")',
  'change the bundle': 'fs.writeFileSync("/plugin/plugin.js", "x")',
  'add to the bundle': 'fs.writeFileSync("/plugin/more.js", "x")',
  'remove from the bundle': 'fs.unlinkSync("/plugin/plugin.js")',
  'change Bun': 'fs.writeFileSync("/bin/bun", "x")',
  'change a library': 'fs.writeFileSync("/usr/lib/os-release", "x")',
  'write into the root': 'fs.writeFileSync("/x", "x")',
  'make a folder in the root': 'fs.mkdirSync("/x")',
  'make a device': 'run("mknod", ["/state/sda", "b", "8", "0"])',
  'read memory of the machine': 'fs.readFileSync("/dev/mem")',
  'read the kernel log': 'fs.readFileSync("/dev/kmsg")',
  'open docker.sock': 'fs.statSync("/var/run/docker.sock")',
  'open another docker.sock': 'fs.statSync("/run/docker.sock")',
  'see cgroups': 'fs.readdirSync("/sys/fs/cgroup")[0].length',
  'see kernel settings': 'fs.readFileSync("/proc/sys/kernel/hostname")',
  'change its oom score': 'fs.writeFileSync("/proc/self/oom_score_adj", "-1000")',
  'signal the host': 'process.kill(process.ppid, 0)',
  'signal init': 'process.kill(1, 0)',
  'run a shell': 'run("/bin/sh", ["-c", "id"])',
  'run su': 'run("/usr/bin/su", ["-c", "id"])',
  'become root': '(process.setuid(0), "root")',
  'become a group': '(process.setgid(0), "root")',
  'change the root': 'ffi("chroot", ["cstring"], "i32", buf("/proc/self/root"))',
  mount:
    'ffi("mount", ["cstring", "cstring", "cstring", "u64", "cstring"], "i32", buf("x"), buf("/tmp"), buf("tmpfs"), 0, buf(""))',
  unmount: 'ffi("umount2", ["cstring", "i32"], "i32", buf("/plugin"), 2)',
  'a new user namespace with mounts':
    '(ffi("unshare", ["i32"], "i32", 0x10000000 | 0x20000), ffi("umount2", ["cstring", "i32"], "i32", buf("/plugin"), 2))',
  'enter a namespace of init': 'ffi("setns", ["i32", "i32"], "i32", fs.openSync("/proc/1/ns/net", "r"), 0)',
  ptrace: 'ffi("ptrace", ["i64", "i64", "i64", "i64"], "i64", 16, process.ppid, 0, 0)',
  'load a module': 'ffi("syscall", ["i64", "i64", "i64", "i64"], "i64", 313, 0, 0, 0)',
  'raise a limit': 'ffi("setrlimit", ["i32", "ptr"], "i32", 7, new BigUint64Array([100000n, 100000n]))',
  'set the host name': 'ffi("sethostname", ["cstring", "i32"], "i32", buf("mine"), 4)',
  'see interfaces': 'Object.keys(os.networkInterfaces())[0].length',
  'read a token in the environment': 'process.env.KUBECONFIG.length || process.env.PINTLE_HOME.length',
  'listen on TCP': 'Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } }).port',
};
const program = (mark: string): string => `
const fs = require("fs"), os = require("os"), { dlopen, ptr } = require("bun:ffi");
const MARK = ${JSON.stringify(mark)};
const buf = (text) => Buffer.from(text + "\\0");
const run = (name, words) => { const r = Bun.spawnSync([name, ...words]); if (r.exitCode !== 0) throw new Error("code " + r.exitCode); return r.stdout.toString() || "ran"; };
const ffi = (name, args, returns, ...values) => { const r = Number(dlopen("libc.so.6", { [name]: { args, returns } }).symbols[name](...values)); if (r < 0) throw new Error("refused"); return "result " + r; };
const found = {};
const attempts = { ${Object.entries(attempts)
  .map(([name, code]) => `${JSON.stringify(name)}: () => ${code}`)
  .join(',\n')} };
for (const [name, attempt] of Object.entries(attempts)) try { found[name] = String(attempt()).slice(0, 60); } catch {}
const connects = async (name, options) => { try { (await Bun.connect({ ...options, socket: { data() {} } })).end(); found[name] = "connected"; } catch {} };
await connects("dial TCP", { hostname: "127.0.0.1", port: PORT });
await connects("dial the metadata address", { hostname: "169.254.169.254", port: 80 });
await connects("dial a unix socket of the host", { unix: SOCKET });
console.log(JSON.stringify(found));
`;

const unshare = Bun.which('unshare');
const isRoot = process.getuid?.() === 0;
const able =
  unshare !== null &&
  Bun.spawnSync([unshare, ...(isRoot ? [] : ['-U', '-r']), '-m', '-n', '--propagation', 'private', 'true']).success;
if (!able) console.log('skipped: the sandbox; this host gives no namespaces');

let place: string;
beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), 'pintle-sandbox-'));
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

test.skipIf(!able)(
  `${Object.keys(attempts).length + 3} attempts out of the sandbox, none succeeds`,
  async () => {
    for (const name of ['root', 'bundle', 'state', 'api']) mkdirSync(join(place, name), { mode: 0o755 });
    const mark = join(place, 'mark');
    writeFileSync(mark, 'the treasure');
    symlinkSync(mark, join(place, 'bundle', 'link'));
    const socket = join(place, 'host.sock');
    using _unix = Bun.listen({ unix: socket, socket: { data() {} } });
    using tcp = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } });
    const text = program(mark).replace('PORT', String(tcp.port)).replace('SOCKET', JSON.stringify(socket));
    writeFileSync(join(place, 'bundle', 'plugin.js'), text);
    const uid = isRoot ? 799_999_999 : undefined;
    if (uid) chownSync(join(place, 'state'), uid, uid);
    const run = {
      root: join(place, 'root'),
      bundle: join(place, 'bundle'),
      state: join(place, 'state'),
      api: join(place, 'api'),
      program: process.execPath,
      arguments: ['/plugin/plugin.js'],
      ...(uid ? { uid } : {}),
      cgroups: [],
      openFilesMax: 256,
      processesMax: 0,
    };
    const user = isRoot ? [] : ['-U', '-r'];
    const words = [unshare!, ...user, '-m', '-n', '--propagation', 'private', '--', process.execPath];
    const child = Bun.spawn([...words, join(import.meta.dir, 'sandbox.ts'), JSON.stringify(run)], {
      env: { PATH: '/usr/bin:/bin', KUBECONFIG: 'secret', PINTLE_HOME: 'secret' },
      stdout: 'pipe',
      stderr: 'pipe',
    });
    const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    const [facts, found] = out.trim().split('\n');
    expect(facts ?? err).toContain('no_new_privs');
    expect(JSON.parse(found ?? `"${err}"`)).toEqual({});
    expect(existsSync(join(place, 'bundle', 'plugin.js'))).toBe(true);
  },
  30_000,
);

test.skipIf(!able)('a step that the kernel refuses ends it with the reason', async () => {
  const run = {
    root: '/nowhere',
    bundle: '/',
    state: '/',
    api: '/',
    program: '/',
    arguments: [],
    cgroups: ['/nowhere/x'],
  };
  const child = Bun.spawnSync([process.execPath, join(import.meta.dir, 'sandbox.ts'), JSON.stringify(run)]);
  expect(child.exitCode).toBe(1);
  expect(child.stdout.toString()).toContain('"type":"failed"');
});
