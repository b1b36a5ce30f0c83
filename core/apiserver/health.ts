import type { Core } from './core.ts';

/** /livez, /readyz and /healthz: each check asks for real; names are upstream's, because probes name them. */
type Check = (core: Core) => Promise<boolean> | boolean;
const storeWaitMs = 2_000;

const checks: Readonly<Record<string, Check>> = {
  ping: () => true,
  log: () => true,
  etcd: storeAnswers, // whatever the store is
  'etcd-readiness': storeAnswers,
  'informer-sync': ({ cache }) => [...cache.caches()].every(({ loadedAt }) => loadedAt !== undefined),
  shutdown: ({ signal }) => !signal.aborted,
};
const roots: Readonly<Record<string, readonly string[]>> = {
  healthz: ['ping', 'log', 'etcd'],
  livez: ['ping', 'log', 'etcd'],
  readyz: ['ping', 'log', 'etcd', 'etcd-readiness', 'informer-sync', 'shutdown'],
};
export const healthPaths = Object.entries(roots).flatMap(([root, names]) => [
  `/${root}`,
  ...names.map((name) => `/${root}/${name}`),
]);

/** Undefined: the path is no health check. */
export async function answerHealth(core: Core, path: string, query: URLSearchParams): Promise<Response | undefined> {
  const [, root = '', name = '', more] = path.split('/');
  const names = Object.hasOwn(roots, root) ? roots[root] : undefined;
  if (!names || more !== undefined || (name && !names.includes(name))) return undefined;
  const excluded = new Set(query.getAll('exclude').filter(Boolean));
  const lines: string[] = [];
  let healthy = true;
  for (const check of name ? [name] : names) {
    if (!name && excluded.delete(check)) lines.push(`[+]${check} excluded: ok`);
    else if (await checks[check]!(core)) lines.push(`[+]${check} ok`);
    else {
      healthy = false;
      lines.push(`[-]${check} failed: reason withheld`);
    }
  }
  if (excluded.size > 0 && !name) {
    const names = [...excluded].map((one) => JSON.stringify(one)).join(',');
    lines.push(`warn: some health checks cannot be excluded: no matches for ${names}`);
  }
  const headers = {
    'content-type': 'text/plain; charset=utf-8',
    'cache-control': 'no-cache, private',
    'x-content-type-options': 'nosniff',
  };
  if (!healthy) {
    const text = name
      ? `internal server error: ${name}: reason withheld\n`
      : `${lines.join('\n')}\n${root} check failed\n`;
    return new Response(text, { status: 500, headers });
  }
  const verbose = query.has('verbose') && !name;
  return new Response(verbose ? `${lines.join('\n')}\n${root} check passed\n` : 'ok', { headers });
}

async function storeAnswers({ store, clock, log }: Core): Promise<boolean> {
  const stop = new AbortController();
  const late = clock.sleep(storeWaitMs, stop.signal).then(() => false);
  const asked = store.version().then(
    () => true,
    (error: unknown) => {
      log.warn('the store does not answer a health check', { error: String(error) });
      return false;
    },
  );
  const answered = await Promise.race([asked, late]);
  stop.abort();
  return answered;
}
