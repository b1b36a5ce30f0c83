import { errors } from '#api';
import { messageOf, systemClock } from '#base';
import { depthMax } from '../json-scan.ts';
import type { YamlAsJson } from './parse.ts';

/** Above it a thread parses: the library takes a second for 500 KB, and more for what is deeply nested. */
const inlineBytesMax = 2048;
const threadMsMax = 5_000;
/** Threads at once, and requests that wait for one. */
const threadsMax = 1;
const waitingMax = 32;

const refused = (why: string) => errors.badRequest(`error converting YAML to JSON: yaml: ${why}`);

/** Throws 400 for what is no YAML that we take, and 429 when too many large texts wait. */
export async function readYaml(text: string): Promise<YamlAsJson> {
  if (/(?:[[{]\s*){101}/.test(text)) throw refused(`exceeded max depth of ${depthMax}`);
  if (text.length > inlineBytesMax || mayBeDeep(text)) return threads.parse(text);
  const { parseYaml } = await import('./parse.ts');
  try {
    return parseYaml(text);
  } catch (error) {
    throw refused(messageOf(error));
  }
}

/** Deep nesting costs the library hundreds of times more than the text is long. Texts with such marks may be harmless. */
function mayBeDeep(text: string): boolean {
  if (/(?:[-?:]\s+){30}/.test(text)) return true;
  let depth = 0;
  for (const char of text) {
    if (char === '[' || char === '{') depth++;
    else if (char === ']' || char === '}') depth--;
    if (depth > 30) return true;
  }
  return false;
}

/** A thread lives for one text: large YAML is rare, and what a hostile one leaves behind goes with it. */
class Threads {
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  async parse(text: string): Promise<YamlAsJson> {
    if (this.#running >= threadsMax) {
      if (this.#waiting.length >= waitingMax)
        throw errors.tooManyRequests('Too many requests, please try again later.', 1);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else this.#running++;
    try {
      return await inThread(text);
    } finally {
      const next = this.#waiting.shift(); // takes this one's place
      if (next) next();
      else this.#running--;
    }
  }
}
/** Of the process, as its processors are. */
const threads = new Threads();

async function inThread(text: string): Promise<YamlAsJson> {
  const worker = new Worker(new URL('./worker.ts', import.meta.url));
  const stop = new AbortController();
  const { promise, resolve } = Promise.withResolvers<YamlAsJson | { failure: string }>();
  worker.addEventListener('message', ({ data }: MessageEvent<YamlAsJson | { failure: string }>) => resolve(data));
  worker.addEventListener('error', ({ message }) => resolve({ failure: message }));
  // A thread runs in real time, whatever clock the server has.
  void systemClock.sleep(threadMsMax, stop.signal).then(() => resolve({ failure: 'it takes too long to parse' }));
  worker.postMessage(text);
  try {
    const answer = await promise;
    if ('failure' in answer) throw refused(answer.failure);
    return answer;
  } finally {
    stop.abort();
    worker.terminate();
  }
}
