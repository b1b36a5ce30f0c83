import { cpSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Finished, runProgram } from '../fixtures/pintle.ts';

/** A program on somebody's client library, and how it comes to this machine. */
export interface ClientProgram {
  readonly name: string;
  /** Programs that must be on PATH. */
  readonly needs: readonly string[];
  /** Installs the library into the folder (kept between runs with PINTLE_TEST_CLIENTS); why not, when it cannot. */
  install(folder: string): Promise<string | undefined>;
  argv(folder: string, namespace: string): string[];
  /** What it prints when each worked, after `ok `. */
  readonly steps: readonly string[];
}

const source = (name: string): string => join(import.meta.dir, name);
const installMs = 240_000;
const common = ['errors and deletecollection', 'exec', 'logs', 'port-forward', 'leader election'];
const lists = ['list in pages', 'watch from a version', 'informer'];
const failed = ({ code, out, err }: Finished): string | undefined =>
  code === 0 ? undefined : (err || out).trim().split('\n').slice(-2).join(' ');

const javascript: ClientProgram = {
  name: '@kubernetes/client-node 1.4.0',
  needs: ['node'],
  async install(folder) {
    if (existsSync(join(folder, 'node_modules/@kubernetes/client-node'))) return undefined;
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'package.json'), '{"private":true}');
    const add = [process.execPath, 'add', '--ignore-scripts', '@kubernetes/client-node@1.4.0']; // 2.x needs Node 22
    return failed(await runProgram(add, { cwd: folder, timeoutMs: installMs }));
  },
  argv: (folder, namespace) => ['node', source('client.mjs'), namespace, folder],
  steps: [...lists, ...common, 'any object and server-side apply'],
};

const python: ClientProgram = {
  name: 'Python kubernetes 37.0.2',
  needs: ['python3'],
  async install(folder) {
    if (existsSync(join(folder, 'installed'))) return undefined;
    mkdirSync(folder, { recursive: true });
    const venv = failed(await runProgram(['python3', '-m', 'venv', folder], { timeoutMs: installMs }));
    if (venv !== undefined) return venv;
    const pip = [join(folder, 'bin/pip'), 'install', '--quiet', '--disable-pip-version-check', 'kubernetes==37.0.2'];
    const installed = failed(await runProgram(pip, { timeoutMs: installMs }));
    if (installed === undefined) writeFileSync(join(folder, 'installed'), '');
    return installed;
  },
  argv: (folder, namespace) => [join(folder, 'bin/python'), source('client.py'), namespace],
  steps: [...lists, ...common, 'dynamic client and server-side apply', 'token of a service account'],
};

const go: ClientProgram = {
  name: 'client-go 0.37.1',
  needs: ['go'],
  async install(folder) {
    mkdirSync(folder, { recursive: true });
    cpSync(source('client.go'), join(folder, 'main.go'));
    const modules = ['api', 'apimachinery', 'client-go'].map((name) => `require k8s.io/${name} v0.37.1\n`);
    writeFileSync(join(folder, 'go.mod'), `module client\n\ngo 1.26.0\n\n${modules.join('')}`);
    const env = { ...(process.env as Record<string, string>), CGO_ENABLED: '0' };
    const build = ['go', 'build', '-mod=mod', '-o', 'client', '.'];
    return failed(await runProgram(build, { cwd: folder, env, timeoutMs: installMs }));
  },
  argv: (folder, namespace) => [join(folder, 'client'), namespace],
  steps: [
    ...['json', 'protobuf'].flatMap((format) => [
      `${format}: discovery and OpenAPI`,
      `${format}: list in pages`,
      `${format}: informer, update, apply, conflict, deletecollection`,
    ]),
    'dynamic informer and metadata',
    'exec',
    'logs',
    'port-forward',
    'leader election',
  ],
};

export const clientPrograms: readonly ClientProgram[] = [javascript, python, go];
