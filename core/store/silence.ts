import type { Clock } from '#base';

/**
 * Calls `onSilent` once when nothing was heard for `silentMsMax` (up to twice that), until the signal is aborted. The function
 * that it returns is to be called whenever something was heard: what is slow but goes on is waited for.
 */
export function listenForSilence(
  clock: Clock,
  silentMsMax: number,
  signal: AbortSignal,
  onSilent: () => void,
): () => void {
  let heard = false;
  void (async () => {
    do {
      heard = false;
      await clock.sleep(silentMsMax, signal);
    } while (heard && !signal.aborted);
    if (!signal.aborted) onSilent();
  })();
  return () => {
    heard = true;
  };
}
