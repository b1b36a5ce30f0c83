// `wget` and `curl` inside pintle/demo:local, as far as checks in a pod need them: [-q] [-s] [-O -] [-T SECONDS] URL.
// (A static busybox's own wget cannot resolve names.)
let timeoutSeconds = 10;
let url = '';
const words = process.argv.slice(2);
for (let at = 0; at < words.length; at++) {
  const word = words[at]!;
  if (/^-(T|m|-max-time|-timeout)$/.test(word)) timeoutSeconds = Number(words[++at]);
  else if (/^(-T|--timeout=|--max-time=)\d+$/.test(word)) timeoutSeconds = Number(word.replace(/^\D+/, ''));
  else if (/^-(q?O|o|t|X)$/.test(word)) at++;
  else if (!word.startsWith('-')) url = word.includes('://') ? word : `http://${word}`;
}
try {
  const response = await fetch(url, { signal: AbortSignal.timeout(timeoutSeconds * 1000) });
  process.stdout.write(await response.text());
  process.exit(response.ok ? 0 : 1);
} catch (error) {
  process.stderr.write(`${url}: ${error instanceof Error ? error.message : error}\n`);
  process.exit(1);
}

export {};
