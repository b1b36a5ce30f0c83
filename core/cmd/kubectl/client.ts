import type { Config, Home } from '../home.ts';
import { Api, ServerError } from './api.ts';
import { parseArguments } from './arguments.ts';
import { describe, get } from './read.ts';
import { exec, logs } from './stream.ts';
import { apply, remove, scale } from './write.ts';

const verbs: Readonly<Record<string, (api: Api, args: ReturnType<typeof parseArguments>) => Promise<string | number>>> =
  {
    get,
    apply,
    delete: remove,
    describe,
    logs,
    exec,
    scale,
  };

/** kubectl's everyday verbs where there is no stock kubectl. Resolves to the exit code; what is not known is refused by name. */
export async function builtinKubectl(home: Home, config: Config, argv: readonly string[]): Promise<number> {
  const args = parseArguments(argv);
  try {
    const result = await verbs[args.verb]!(new Api(home, config), args);
    if (typeof result === 'number') return result;
    process.stdout.write(result);
    return 0;
  } catch (error) {
    if (!(error instanceof ServerError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return 1;
  }
}
