// Two pods beside each other: argv = `flood`|`polite`, IP and port of the server, own address, a name, seconds. `flood` asks as
// fast as it can and hears no answer; `polite` asks 200 questions a second and prints {"p99Ms": number, "lost": share}.
import { encode, RECURSION_DESIRED } from 'dns-packet';
import { percentile } from './row.ts';

const [role, ip, portText, own, name, secondsText] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
  string,
];
const [port, seconds] = [Number(portText), Number(secondsText)];
const burst = 64; // of the flood, between two looks at the time
const everyMs = 5;
const patienceMs = 1_000;
const packet = encode({ id: 0, type: 'query', flags: RECURSION_DESIRED, questions: [{ name, type: 'A' }] });
const sentMs = new Map<number, number>();
const times: number[] = [];
const socket = await Bun.udpSocket({
  hostname: own,
  socket: {
    data(_socket, reply) {
      const id = (reply[0]! << 8) | reply[1]!;
      const atMs = sentMs.get(id);
      if (atMs === undefined) return;
      sentMs.delete(id);
      times.push(performance.now() - atMs);
    },
  },
});
const endMs = performance.now() + seconds * 1_000;
if (role === 'flood') {
  while (performance.now() < endMs) {
    for (let index = 0; index < burst; index++) socket.send(packet, port, ip);
    await Bun.sleep(0);
  }
} else {
  let asked = 0;
  while (performance.now() < endMs) {
    const id = ++asked & 0xffff;
    packet[0] = id >> 8;
    packet[1] = id & 255;
    sentMs.set(id, performance.now());
    socket.send(packet, port, ip);
    await Bun.sleep(everyMs);
  }
  await Bun.sleep(patienceMs);
  const result = { p99Ms: times.length > 0 ? percentile(times, 0.99) : patienceMs, lost: sentMs.size / asked };
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
socket.close();
