import { parseYaml } from './parse.ts';

/** One large text, one answer; who asked ends the thread. */
declare const self: { onmessage: (event: { data: string }) => void; postMessage(message: unknown): void };
self.onmessage = ({ data }) => {
  try {
    self.postMessage(parseYaml(data));
  } catch (error) {
    self.postMessage({ failure: error instanceof Error ? error.message : String(error) });
  }
};
