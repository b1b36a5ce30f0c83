import { StatusError } from '#api';
import { messageOf } from '#base';

const lineCharactersMax = 16 * 1024 * 1024; // a stored value is at most 1.5 MiB; no honest line is near this

/**
 * The lines of a streamed answer. Ends when the stream ends or the signal aborts; a cut connection throws 503.
 * A last line without its line feed is half an event: it is dropped.
 */
export async function* readLines(response: Response, signal: AbortSignal): AsyncGenerator<string> {
  const reader = response.body?.getReader();
  if (!reader) return;
  const stop = () => void reader.cancel().catch(() => {});
  signal.addEventListener('abort', stop, { once: true });
  const decoder = new TextDecoder();
  let rest = '';
  try {
    while (!signal.aborted) {
      const chunk = await reader.read();
      if (chunk.done) return;
      rest += decoder.decode(chunk.value, { stream: true });
      let start = 0;
      for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n', start)) {
        const line = rest.slice(start, end);
        start = end + 1;
        if (line.trim() !== '') yield line;
      }
      rest = rest.slice(start);
      if (rest.length > lineCharactersMax) throw new StatusError(503, 'ServiceUnavailable', 'watch line is too long');
    }
  } catch (error) {
    if (signal.aborted) return;
    if (error instanceof StatusError) throw error;
    throw new StatusError(503, 'ServiceUnavailable', `stream cut: ${messageOf(error)}`);
  } finally {
    signal.removeEventListener('abort', stop);
    stop();
  }
}
