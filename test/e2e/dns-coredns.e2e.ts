import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { programOnPath } from '#base';
import { dnsContract } from '../contracts/dns.ts';
import { hasDig } from '../fixtures/dig.ts';
import { skipped } from '../fixtures/skipped.ts';

// Where upstream's programs were built there is a CoreDNS too.
const built = join(process.env['UPSTREAM_CACHE'] ?? join(homedir(), '.cache/upstream'), 'bin-1.37.1');
if (!programOnPath('coredns') && existsSync(join(built, 'coredns')))
  process.env['PATH'] = `${process.env['PATH']}:${built}`;

if (!hasDig()) skipped('e2e', 'CoreDNS by the DNS plugin', 'there is no dig (bind9-dnsutils)');
else if (!programOnPath('coredns'))
  console.log('skipped: CoreDNS by the DNS plugin: there is no coredns'); // built from Go: optional everywhere
else dnsContract('coredns', `127.${150 + (process.pid % 50)}.1.1`);
