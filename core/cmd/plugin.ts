import { PintleError } from '#base';
import { openHome } from './home.ts';
import { partComponents, partsOf } from './plugin-reports.ts';
import { treeText } from './plugin-tree.ts';

export interface PluginOptions {
  readonly home?: string;
  readonly json?: boolean;
}
type Verb = (name: string | undefined, options: PluginOptions) => Promise<void> | void;

const verbs: Readonly<Record<string, Verb>> = { build, tree };

/** `./pintle plugin VERB [NAME]`. */
export async function plugin(verb: string, name: string | undefined, options: PluginOptions): Promise<void> {
  const run = verbs[verb];
  if (!run)
    throw new PintleError(
      'UNKNOWN_PLUGIN_VERB',
      `there is no plugin ${verb}`,
      `use one of: ${Object.keys(verbs).join(', ')}`,
    );
  await run(name, options);
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
