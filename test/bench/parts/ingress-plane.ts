// A data plane as a process of its own: `bare PORT`, or `builtin ROUTES PORT`. Prints its port; a line to it makes a change and is answered.
import { silentLog, systemClock } from '#base';
import { createAuthority, issueServing } from '../../../core/wire/pki.ts';
import { createBuiltinDriver } from '../../../plugins/ingress/builtin/driver.ts';
import { benchRouting } from './ingress-routes.ts';

const [kind, routes, port] = process.argv.slice(2);
const backendPort = Number(port);
const say = (word: string | number): void => void process.stdout.write(`${word}\n`);
const lines = async function* (): AsyncIterable<string> {
  for await (const chunk of Bun.stdin.stream()) yield* new TextDecoder().decode(chunk).split('\n').filter(Boolean);
};

if (kind === 'bare') {
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    fetch(request) {
      const url = new URL(request.url);
      url.host = `127.0.0.1:${backendPort}`;
      const { method, headers, body } = request;
      return fetch(url, { method, headers, body, redirect: 'manual', decompress: false });
    },
  });
  say(server.port!);
  for await (const _line of lines()) say('-');
} else {
  const nowMs = systemClock.now();
  const authority = await createAuthority('bench', nowMs);
  const names = { commonName: 'bench', dnsNames: ['bench.invalid'], ipAddresses: [], days: 1, nowMs };
  const certificate = { id: 'default', version: '1', names: [], ...(await issueServing(authority, names)) };
  const driver = createBuiltinDriver({ clock: systemClock, log: silentLog });
  const routing = (turn: number) => benchRouting(certificate, Number(routes), [backendPort], turn);
  await driver.apply(routing(0));
  say(driver.listening[0]!.port);
  let turn = 0;
  for await (const _line of lines()) {
    await driver.apply(routing(++turn));
    say(turn);
  }
  await driver[Symbol.asyncDispose]();
}
process.exit(0);
