import { expect, test } from 'bun:test';
import { planRoot, type RootMount, resolvePath, type TreeView } from './root-plan.ts';

/** Names that end in a slash are folders, `a -> b` are links, others files. */
function tree(...lines: string[]): TreeView {
  const kinds = new Map<string, 'folder' | 'file' | 'link'>([['/', 'folder']]);
  const targets = new Map<string, string>();
  for (const line of lines) {
    const [path, target] = line.split(' -> ') as [string, string | undefined];
    const clean = path.replace(/\/$/, '');
    kinds.set(clean, target !== undefined ? 'link' : path.endsWith('/') ? 'folder' : 'file');
    if (target !== undefined) targets.set(clean, target);
  }
  return {
    kind: (path) => kinds.get(path),
    list: (folder) =>
      [...kinds.keys()]
        .filter((path) => path !== '/' && path.slice(0, path.lastIndexOf('/')) === (folder === '/' ? '' : folder))
        .map((path) => path.slice(path.lastIndexOf('/') + 1)),
    target: (link) => targets.get(link)!,
  };
}
const host = tree(
  '/etc/',
  '/etc/hosts',
  '/etc/ssl/',
  '/bin -> usr/bin',
  '/usr/',
  '/run/',
  '/var/',
  '/var/run -> /run',
  '/vol/',
  '/file',
);
const mount = (containerPath: string, hostPath = '/vol', readOnly = false): RootMount => ({
  containerPath,
  hostPath,
  readOnly,
});
const steps = (mounts: RootMount[], readOnlyRoot = false) => {
  const plan = planRoot(mounts, host, readOnlyRoot);
  if (typeof plan === 'string') return [plan];
  const told = plan.map((step) => {
    if (step.type === 'bind') return `bind ${step.from === step.path ? '' : `${step.from} `}${step.path}`;
    if (step.type === 'link') return `link ${step.path}`;
    if (step.type === 'access') return `${step.readOnly ? 'ro' : 'rw'} ${step.path}`;
    return `${step.type} ${step.path}${step.type === 'point' && step.within ? ` in ${step.within}` : ''}`;
  });
  return told.filter((line) => !/^(point|bind|link) \/(etc|usr|run|var|vol|file|bin)$/.test(line)); // of the root itself
};

test.each([
  ['nothing: the host as it is', [], ['memory /']],
  ['a file that exists is covered', [mount('/etc/hosts', '/file')], ['memory /', 'bind /file /etc/hosts']],
  ['a folder of the root', [mount('/data')], ['memory /', 'point /data', 'bind /vol /data']],
  [
    'below a folder that exists: that one is mirrored',
    [mount('/etc/app/config', '/vol', true)],
    [
      'memory /',
      'memory /etc',
      'point /etc/hosts',
      'bind /etc/hosts',
      'point /etc/ssl',
      'bind /etc/ssl',
      'point /etc/app/config',
      'bind /vol /etc/app/config',
      'ro /etc/app/config',
    ],
  ],
  [
    'links of the host are followed',
    [mount('/var/run/secrets/token', '/file')],
    ['memory /', 'memory /run', 'point /run/secrets/token', 'bind /file /run/secrets/token'],
  ],
  [
    'one volume in another, whatever their order',
    [mount('/data/sub/deep'), mount('/data')],
    ['memory /', 'point /data', 'bind /vol /data', 'point /data/sub/deep in /data', 'bind /vol /data/sub/deep'],
  ],
  [
    'a read-only root keeps its volumes writable',
    [mount('/data'), mount('/more', '/vol', true)],
    ['memory /', 'point /data', 'bind /vol /data', 'point /more', 'bind /vol /more', 'ro /', 'rw /data'],
  ],
  ['a folder over a file', [mount('/etc/hosts')], ['/etc/hosts is a file here, and the volume a folder']],
  ['below a file', [mount('/etc/hosts/x')], ['/etc/hosts is a file, so that nothing can be mounted at /etc/hosts/x']],
  ['at the root', [mount('/x/..')], ['a volume cannot be mounted at /']],
  ['a source that is gone', [mount('/data', '/gone')], ['/gone does not exist']],
] as const)('%s', (_name, mounts, expected) => {
  expect(steps([...mounts], _name.startsWith('a read-only root'))).toEqual([...expected]);
});

test('links that go round are refused', () => {
  expect(() => resolvePath('/a', tree('/a -> /b', '/b -> /a'))).toThrow('too many levels');
  expect(resolvePath('/a/x/../y', tree('/a -> b/c', '/b/', '/b/c/'))).toBe('/b/c/y');
});
