// The DNS plugin's node part, or a CoreDNS as it would start it, in a process of its own:
// argv = embedded|coredns, IP, URL of the API, its authority's file, a token's file, a folder. Listens on port 10053.
import { readFileSync } from 'node:fs';
import { MetricsPage, Scope, silentLog, systemClock, systemRandom } from '#base';
import { createInformers } from '../../../core/client/cache-informer.ts';
import { createClient } from '../../../core/client/http.ts';
import { runCoreDns } from '../../../plugins/dns/coredns.ts';
import node from '../../../plugins/dns/node.ts';
import { readSettings } from '../../../plugins/dns/settings.ts';
import { machine } from '../../fixtures/dns-cluster.ts';
import { noBackends } from '../../fixtures/no-backends.ts';

const [driver, ip, url, caFile, tokenFile, folder] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
  string,
];
const ca = readFileSync(caFile, 'utf8');
const connect = (token: string) =>
  createClient({ fetch: (request) => fetch(request, { tls: { ca } }), baseUrl: url, token });
const scope = new Scope();
const seams = { clock: systemClock, random: systemRandom, log: silentLog };
const api = { url, caFile, tokenFile };
if (driver === 'coredns') {
  const { settings } = readSettings({ cacheSeconds: '0' }, 'cluster.local');
  const program = machine.findProgram('coredns')!;
  const options = { settings, listen: { ip, port: 10_053 }, ttlSeconds: 5, program, folder };
  await runCoreDns(options, { ...seams, api, machine });
} else {
  const token = readFileSync(tokenFile, 'utf8');
  const informers = createInformers({ client: connect(token), ...seams, signal: scope.signal });
  const network = {
    ip,
    podRanges: ['10.244.0.0/16', '127.250.0.0/16'], // the second are pods that flood, and their neighbours
    subnets: [],
    report() {},
    setMtu: async () => {},
    ownAddresses: () => [],
  };
  const pods = { gate: () => ({ [Symbol.dispose]() {} }) };
  const own = { client: connect('node'), informers, nodeName: 'n1', page: new MetricsPage(0) };
  node.start({ ...seams, ...own, network, pods, backends: noBackends, machine, api, folder, scope });
}
// Goes with who started it.
process.stdin.once('end', () => void scope[Symbol.asyncDispose]().finally(() => process.exit(0))).resume();
