import { StatusError } from '#api';
import { PintleError } from '#base';
import type { Catalog } from './catalog.ts';
import { openHome } from './home.ts';
import { partComponents, partsOf } from './plugin-reports.ts';
import { treeText } from './plugin-tree.ts';

export interface PluginOptions {
  readonly home?: string;
  readonly json?: boolean;
  readonly yes?: boolean;
  readonly approveDangerous?: boolean;
  readonly config?: string;
  /** Names of nodes, with commas between them; for placement named-nodes. */
  readonly nodes?: string;
  /** A stronger level than the plugin asks for. */
  readonly isolation?: string;
  readonly purge?: boolean;
  readonly chaos?: boolean;
  /** `sha256:…` that the bundle must have. */
  readonly digest?: string;
  /** A former build, for `check`. */
  readonly against?: string;
  readonly inspect?: boolean;
  readonly port?: number;
}
type Verb = (name: string | undefined, options: PluginOptions, catalog: Catalog) => Promise<void> | void;

const verbs: Readonly<Record<string, Verb>> = {
  new: async (name) => (await import('./plugin-new.ts')).newPlugin(named('new', name)),
  dev: async (folder = '.', options, catalog) => (await import('./dev/dev.ts')).developPlugin(folder, options, catalog),
  test: async (folder = '.', options) => (await import('./plugin-test.ts')).testPlugin(folder, options),
  check: async (folder = '.', options) => (await import('./plugin-check.ts')).checkPlugin(folder, options),
  build,
  upgrade: async (name, options) => (await import('./plugin-install.ts')).upgrade(name ?? '.', options),
  install: async (name, options) => (await import('./plugin-install.ts')).install(name ?? '.', options),
  list: async (_name, options) => (await import('./plugin-show.ts')).list(options),
  show: async (name, options) => (await import('./plugin-show.ts')).show(named('show', name), options),
  tree,
  rollback: async (name, options) => (await import('./plugin-install.ts')).rollback(named('rollback', name), options),
  uninstall: async (name, options) =>
    (await import('./plugin-uninstall.ts')).uninstall(named('uninstall', name), options),
};
/** `./pintle plugin VERB [NAME]`. */
export async function plugin(
  verb: string,
  name: string | undefined,
  options: PluginOptions,
  catalog: Catalog,
): Promise<void> {
  const run = verbs[verb];
  if (!run)
    throw new PintleError(
      'UNKNOWN_PLUGIN_VERB',
      `there is no plugin ${verb}`,
      `use one of: ${Object.keys(verbs).join(', ')}`,
    );
  try {
    await run(name, options, catalog);
  } catch (error) {
    throw error instanceof StatusError ? worded(error, name) : error;
  }
}

/** What the API server refused, or that it does not answer. */
const worded = (error: StatusError, name = 'the plugin'): PintleError =>
  new PintleError(
    'PLUGIN_REFUSED',
    error.code === 404 ? `${name} is not installed` : `the API server: ${error.message}`,
    error.code === 503 ? './pintle status' : './pintle plugin list',
  );

function named(verb: string, name: string | undefined): string {
  if (name) return name;
  throw new PintleError(
    'BAD_PLUGIN_NAME',
    `plugin ${verb} needs the name of a plugin`,
    './pintle plugin list shows them',
  );
}

function tree(_name: string | undefined, options: PluginOptions): void {
  const home = openHome(options.home);
  home.read();
  const reports = partComponents.map((component) => ({ component, parts: partsOf(home, component) }));
  process.stdout.write(options.json ? `${JSON.stringify(reports)}\n` : treeText(reports));
}

async function build(folder = '.'): Promise<void> {
  const { buildPlugin } = await import('./plugin-build.ts');
  const { folder: out, manifest, digest } = await buildPlugin(folder);
  process.stdout.write(`built ${manifest.name} ${manifest.version} in ${out}\n${digest}\n`);
}
