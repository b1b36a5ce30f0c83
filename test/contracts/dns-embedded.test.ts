import { hasDig } from '../fixtures/dig.ts';
import { skipped } from '../fixtures/skipped.ts';
import { dnsContract } from './dns.ts';

if (hasDig()) dnsContract('embedded', `127.${150 + (process.pid % 50)}.0.1`);
else skipped('contract', 'the DNS server', 'there is no dig (bind9-dnsutils)');
