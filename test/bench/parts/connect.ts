/**
 * `serve PORT`: answers each connection with one byte. `dial ADDRESS PORT COUNT`, one line of input each: opens so many
 * connections one after the other and prints the median time, in microseconds, from connecting to the byte.
 */
const [mode, ...rest] = process.argv.slice(2);
if (mode === 'serve') {
  Bun.listen({
    hostname: '0.0.0.0',
    port: Number(rest[0]),
    socket: {
      open: (socket) => {
        socket.write('!');
        socket.flush();
      },
      data() {},
    },
  });
  console.log('ready');
} else {
  for await (const line of console) {
    const [hostname, port, count] = line.split(' ');
    const times: number[] = [];
    for (let index = 0; index < Number(count); index++) times.push(await once(hostname!, Number(port)));
    times.sort((a, b) => a - b);
    console.log(times[times.length >> 1]);
  }
}

async function once(hostname: string, port: number): Promise<number> {
  const answered = Promise.withResolvers<void>();
  const beganMs = performance.now();
  const socket = await Bun.connect({
    hostname,
    port,
    socket: { data: () => answered.resolve(), error: (_, error) => answered.reject(error) },
  });
  await answered.promise;
  const took = (performance.now() - beganMs) * 1000;
  socket.terminate();
  return took;
}

export {};
