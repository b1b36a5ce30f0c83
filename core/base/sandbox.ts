/**
 * A program of its own: `unshare … bun sandbox.ts JSON` locks itself in, step by step, and becomes the program that the
 * JSON names. It runs in mount and network namespaces of its own, which `unshare` made. One line on its standard output
 * says what is in force: {"type":"sandbox","facts":[…]}, or {"type":"failed","message":…} before it ends with code 1.
 */
import { CString, dlopen, ptr, read } from 'bun:ffi';
import { chmodSync, existsSync, lstatSync, openSync, readlinkSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { buildRoot, type RootStep } from './root.ts';

export interface SandboxRun {
  /** `process`: no root, network namespace or Landlock of its own. */
  readonly level: 'sandbox' | 'process';
  /** Of `process` with a user of its own: a folder in /tmp, which every machine has, that holds what is its own. */
  readonly place?: string;
  /** An empty folder that becomes the root, or what `process` has in place of the machine's /tmp. */
  readonly root: string;
  /** Bound read-only at /plugin; for `process` this one and the next three below `place`. */
  readonly bundle: string;
  /** Bound writable at /state. */
  readonly state: string;
  /** Holds the API socket; bound at /api. */
  readonly api: string;
  /** Bound at /bin/bun. */
  readonly program: string;
  readonly arguments: readonly string[];
  /** Absent without root: the user namespace has mapped us already, and a `process` stays this user, without mounts. */
  readonly uid?: number;
  /** Files that take this process in: cgroup.procs of each hierarchy. */
  readonly cgroups: readonly string[];
  readonly openFilesMax: number;
  /** Of this user; 0 leaves the limit alone. */
  readonly processesMax: number;
  /** Descriptor 3 is a socket pair to the host, and stays open. */
  readonly channel?: boolean;
  /** It is in the host's network namespace, and may connect to others; it may not listen. */
  readonly network?: boolean;
}

const symbols = {
  mount: { args: ['cstring', 'cstring', 'cstring', 'u64', 'cstring'], returns: 'i32' },
  chroot: { args: ['cstring'], returns: 'i32' },
  chdir: { args: ['cstring'], returns: 'i32' },
  setgroups: { args: ['u64', 'ptr'], returns: 'i32' },
  setresgid: { args: ['u32', 'u32', 'u32'], returns: 'i32' },
  setresuid: { args: ['u32', 'u32', 'u32'], returns: 'i32' },
  capset: { args: ['ptr', 'ptr'], returns: 'i32' },
  setrlimit: { args: ['i32', 'ptr'], returns: 'i32' },
  prctl: { args: ['i32', 'u64', 'u64', 'u64', 'u64'], returns: 'i32' },
  syscall: { args: ['i64', 'u64', 'u64', 'u64', 'u64'], returns: 'i64' },
  execve: { args: ['cstring', 'ptr', 'ptr'], returns: 'i32' },
  strerror: { args: ['i32'], returns: 'ptr' },
  __errno_location: { args: [], returns: 'ptr' },
} as const;
type Libc = ReturnType<typeof dlopen<typeof symbols>>['symbols'];
const bytesOf = (text: string): Buffer => Buffer.from(`${text}\0`);

// The same numbers on every processor.
const landlockCreate = 444n;
const landlockAdd = 445n;
const landlockRestrict = 446n;
const closeRange = 436n;
const closeOnExec = 4n;
const [prParentDeath, prDropBound, prNoNewPrivileges] = [1, 24, 38];
const [limitFiles, limitProcesses, limitCore] = [7, 6, 4]; // RLIMIT_NOFILE, _NPROC, _CORE of Linux
const readAndRun = 1n | 4n | 8n; // EXECUTE, READ_FILE, READ_DIR
const fileWrites = 2n | 4n; // WRITE_FILE, READ_FILE

/** Rights that each version of Landlock knows; all of them are denied but where a rule allows them. */
function landlockRights(version: number): { files: bigint; size: number } {
  const files = version >= 5 ? 0xffffn : version >= 3 ? 0x7fffn : version === 2 ? 0x3fffn : 0x1fffn;
  return { files, size: version >= 6 ? 24 : version >= 4 ? 16 : 8 };
}

function openLibc(): Libc {
  for (const name of ['libc.so.6', 'libc.so']) {
    try {
      return dlopen(name, symbols).symbols;
    } catch {} // the other C library
  }
  throw new Error('the C library was not found');
}

class Lock {
  readonly facts: string[] = [];
  constructor(private readonly libc: Libc) {}

  must(what: string, result: number | bigint): bigint {
    if (Number(result) >= 0) return BigInt(result);
    const place = this.libc.__errno_location();
    const words = place === null ? null : this.libc.strerror(read.i32(place, 0));
    throw new Error(`${what}: ${words === null ? 'refused' : new CString(words).toString()}`);
  }

  /** What it mounts stays here; what the machine unmounts goes here too, or it would stay busy as long as the plugin runs. */
  #ownMounts(): void {
    const slaveRecursive = (1n << 19n) | 0x4000n; // MS_SLAVE | MS_REC
    this.must('own mounts', this.libc.mount(bytesOf('none'), bytesOf('/'), null, slaveRecursive, null));
  }
  root(run: SandboxRun): void {
    const { libc } = this;
    this.#ownMounts();
    buildRoot(run.root, rootSteps(run));
    chmodSync(join(run.root, 'tmp'), 0o777); // Bun makes a folder there when it starts; in memory
    this.must('enter the root', libc.chroot(bytesOf(run.root)));
    this.must('enter the root', libc.chdir(bytesOf('/state')));
    this.facts.push(
      'own root: bundle and libraries read-only, state writable',
      run.network ? 'network of the host' : 'network namespace without interfaces',
    );
  }

  /** The folders of a home are closed to other users: what is the plugin's is bound where it can get at it, and nothing copied. */
  place(run: SandboxRun, place: string): void {
    this.#ownMounts();
    const within = place.slice('/tmp'.length);
    buildRoot(run.root, [{ type: 'memory', path: '/' }, ...ownSteps(run, within)]);
    chmodSync(run.root, 0o1777); // as any /tmp; what root made in it stays root's
    const bind = 0x1000n | 0x4000n; // MS_BIND | MS_REC
    this.must('own /tmp', this.libc.mount(bytesOf(run.root), bytesOf('/tmp'), null, bind, null));
    this.must('enter the state folder', this.libc.chdir(bytesOf(`${place}/state`)));
    this.facts.push('own /tmp: bundle read-only, state writable');
  }

  limits(run: SandboxRun): void {
    const limit = (what: number, most: number): void => {
      const values = new BigUint64Array([BigInt(most), BigInt(most)]);
      this.must('limit', this.libc.setrlimit(what, ptr(values)));
    };
    limit(limitFiles, run.openFilesMax);
    limit(limitCore, 0);
    if (run.processesMax > 0) limit(limitProcesses, run.processesMax);
    this.facts.push(`open files ${run.openFilesMax}`);
  }

  identity({ uid, level }: SandboxRun): void {
    const { libc } = this;
    for (let capability = 0n; capability <= 63n; capability++)
      if (libc.prctl(prDropBound!, capability, 0n, 0n, 0n) !== 0) break; // the last one that this kernel knows
    if (uid !== undefined) {
      this.must('leave groups', libc.setgroups(0n, null));
      this.must('set group', libc.setresgid(uid, uid, uid));
      this.must('set user', libc.setresuid(uid, uid, uid));
    }
    const header = new Uint32Array([0x20080522, 0]);
    this.must('drop capabilities', libc.capset(ptr(header), ptr(new Uint32Array(6))));
    this.must('no_new_privs', libc.prctl(prNoNewPrivileges!, 1n, 0n, 0n, 0n));
    this.must('end with the host', libc.prctl(prParentDeath!, 9n, 0n, 0n, 0n));
    const whose = level === 'sandbox' ? 'user namespace' : 'user of the host: one of its own needs root';
    this.facts.push(uid === undefined ? whose : `uid ${uid}`, 'no capabilities', 'no_new_privs');
  }

  landlock(network: boolean): void {
    const { libc } = this;
    const version = Number(libc.syscall(landlockCreate, 0n, 0n, 1n, 0n));
    if (version < 1) throw new Error('this kernel has no Landlock');
    const { files, size } = landlockRights(version);
    // TCP bind (1) and connect (2); abstract sockets and signals
    const attributes = new BigUint64Array([files, network ? 1n : 3n, 3n]);
    const ruleset = this.must('landlock', libc.syscall(landlockCreate, BigInt(ptr(attributes)), BigInt(size), 0n, 0n));
    const allow = (path: string, rights: bigint): void => {
      const rule = new DataView(new ArrayBuffer(12));
      rule.setBigUint64(0, rights & files, true);
      rule.setInt32(8, openSync(path, 'r'), true);
      this.must(
        `landlock ${path}`,
        libc.syscall(landlockAdd, ruleset, 1n, BigInt(ptr(rule.buffer as ArrayBuffer)), 0n),
      );
    };
    allow('/', readAndRun);
    for (const path of ['/state', '/tmp']) allow(path, files & ~(1n << 6n) & ~(1n << 11n)); // all but device nodes
    allow('/dev/null', fileWrites);
    this.must('landlock', libc.syscall(landlockRestrict, ruleset, 0n, 0n, 0n));
    this.facts.push(`Landlock ${version}`);
    if (network && version >= 4) this.facts.push('no listening');
  }

  become(path: string, argv: readonly string[], env: Readonly<Record<string, string>>, filesKept: bigint): never {
    this.must('close files', this.libc.syscall(closeRange, filesKept, 0xffffffffn, closeOnExec, 0n));
    const texts: Buffer[] = [];
    const list = (words: readonly string[]): BigUint64Array =>
      new BigUint64Array([
        ...words.map((word) => {
          const text = bytesOf(word);
          texts.push(text);
          return BigInt(ptr(text));
        }),
        0n,
      ]);
    const environment = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    this.must('start the program', this.libc.execve(bytesOf(path), ptr(list(argv)), ptr(list(environment))));
    throw new Error(`${path} did not start ${texts.length}`);
  }
}

function rootSteps(run: SandboxRun): RootStep[] {
  const folder = (path: string): RootStep => ({ type: 'point', path, file: false });
  const file = (path: string): RootStep => ({ type: 'point', path, file: true });
  const bind = (from: string, path: string): RootStep[] => [{ type: 'bind', from, path }];
  const closed = (path: string): RootStep => ({ type: 'access', path, readOnly: true });
  const steps: RootStep[] = [{ type: 'memory', path: '/' }];
  for (const path of ['/usr/lib', '/usr/lib64', '/lib', '/lib64']) {
    if (!existsSync(path)) continue;
    if (lstatSync(path).isSymbolicLink()) steps.push({ type: 'link', path, target: readlinkSync(path) });
    else steps.push(folder(path), ...bind(path, path), closed(path));
  }
  const names = run.network ? ['/etc/resolv.conf', '/etc/hosts', '/etc/nsswitch.conf'] : [];
  for (const path of names) if (existsSync(path)) steps.push(file(path), ...bind(path, path), closed(path));
  for (const path of ['/dev/null', '/dev/urandom']) steps.push(file(path), ...bind(path, path));
  // Only what it may know of itself: JavaScriptCore asks there where its stack is.
  steps.push(folder('/proc/self'), ...bind('/proc/self', '/proc/self'));
  return [...steps, ...ownSteps(run, ''), folder('/tmp')];
}
/** What every plugin has, below a folder. */
function ownSteps({ program, bundle, api, state }: SandboxRun, within: string): RootStep[] {
  const own = (from: string, name: string, file = false): RootStep[] => [
    { type: 'point', path: `${within}${name}`, file },
    { type: 'bind', from, path: `${within}${name}` },
  ];
  const closed = (name: string): RootStep => ({ type: 'access', path: `${within}${name}`, readOnly: true });
  return [
    ...own(program, '/bin/bun', true),
    closed('/bin/bun'),
    ...own(bundle, '/plugin'),
    closed('/plugin'),
    ...own(api, '/api'),
    ...own(state, '/state'),
  ];
}

function main(run: SandboxRun): void {
  for (const path of run.cgroups) writeFileSync(path, '0');
  const lock = new Lock(openLibc());
  const [bun, state, path] = run.level === 'process' ? asProcess(run, lock) : asSandbox(run, lock);
  writeSync(1, `${JSON.stringify({ type: 'sandbox', facts: lock.facts })}\n`);
  const env = { HOME: state, TMPDIR: state, PATH: path };
  lock.become(bun, [bun, ...run.arguments], env, run.channel ? 4n : 3n);
}
/** Where its Bun, its state and its programs are then. */
type Places = readonly [bun: string, state: string, path: string];

function asSandbox(run: SandboxRun, lock: Lock): Places {
  lock.root(run);
  lock.limits(run);
  lock.identity(run);
  lock.landlock(run.network ?? false);
  return ['/bin/bun', '/state', '/bin'];
}
function asProcess(run: SandboxRun, lock: Lock): Places {
  lock.facts.push('own process', 'clean environment', 'network of the host');
  const { place } = run;
  if (place === undefined) process.chdir(run.state);
  else lock.place(run, place);
  lock.limits(run);
  lock.identity(run);
  const [bun, state] = place === undefined ? [run.program, run.state] : [`${place}/bin/bun`, `${place}/state`];
  return [bun, state, '/usr/bin:/bin'];
}

if (import.meta.main) {
  try {
    main(JSON.parse(process.argv[2] ?? '') as SandboxRun);
  } catch (error) {
    writeSync(1, `${JSON.stringify({ type: 'failed', message: `sandbox: ${(error as Error).message}` })}\n`);
    process.exit(1);
  }
}
