// Asks a DNS server: argv = IP, port, services, headless services; then, for each line `SECONDS WINDOW` of stdin, prints
// {"replies": number, "lost": number, "p50Ms": number, "p99Ms": number}. WINDOW: questions under way at once.
import { encode, RECURSION_DESIRED } from 'dns-packet';
import { percentile } from './row.ts';

const [ip, port, services, headless] = [process.argv[2]!, ...process.argv.slice(3).map(Number)] as [
  string,
  number,
  number,
  number,
];
const patienceMs = 1_000;
const sampleEvery = 4;

/** What pods ask: mostly names of services, by way of their search paths; some for other types. */
function questions(): Uint8Array[] {
  const found: Uint8Array[] = [];
  const zone = 'shop.svc.cluster.local';
  const add = (name: string, type: 'A' | 'AAAA' | 'SRV') =>
    found.push(encode({ id: 0, type: 'query', flags: RECURSION_DESIRED, questions: [{ name, type }] }));
  for (let index = 0; index < 20_000; index++) {
    const service = `s${Math.floor(Math.random() * services)}`;
    const kind = index % 20;
    if (kind < 12) add(`${service}.${zone}`, 'A');
    else if (kind < 15) add(`${service}.${zone}`, 'AAAA');
    else if (kind < 17) add(`${service}.${zone}.${zone}`, 'A');
    else if (kind < 18) add(`_http._tcp.${service}.${zone}`, 'SRV');
    else add(`h${Math.floor(Math.random() * headless)}.${zone}`, 'A');
  }
  return found;
}

const packets = questions();
let next = 0;
const sentMs = new Float64Array(65_536);
const open = new Set<number>();
let samples: number[] = [];
let replies = 0;
let running = false;
const socket = await Bun.udpSocket({
  connect: { hostname: ip, port },
  socket: {
    data(_socket, reply) {
      const id = (reply[0]! << 8) | reply[1]!;
      if (!open.delete(id)) return;
      replies++;
      if (replies % sampleEvery === 0) samples.push(performance.now() - sentMs[id]!);
      if (running) ask(id);
    },
  },
});
function ask(id: number): void {
  const packet = packets[next++ % packets.length]!;
  packet[0] = id >> 8;
  packet[1] = id & 255;
  sentMs[id] = performance.now();
  open.add(id);
  socket.send(packet);
}

async function round(seconds: number, window: number) {
  replies = 0;
  samples = [];
  let lost = 0;
  running = true;
  for (let id = 1; id <= window; id++) ask(id);
  const endMs = performance.now() + seconds * 1000;
  while (performance.now() < endMs) {
    await Bun.sleep(50);
    for (const id of [...open])
      if (performance.now() - sentMs[id]! > patienceMs) {
        lost++;
        ask(id);
      }
  }
  running = false;
  const [p50Ms, p99Ms] = samples.length > 0 ? [percentile(samples, 0.5), percentile(samples, 0.99)] : [0, 0];
  const result = { replies, lost, p50Ms, p99Ms };
  const quietMs = performance.now() + patienceMs;
  while (open.size > 0 && performance.now() < quietMs) await Bun.sleep(5);
  open.clear();
  return result;
}

for await (const line of console) {
  const [seconds, window] = line.split(' ').map(Number) as [number, number];
  process.stdout.write(`${JSON.stringify(await round(seconds, window))}\n`);
}
socket.close();
