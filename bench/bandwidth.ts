/**
 * How near a client comes to its bandwidth: `node bench/bandwidth.ts`, half a minute. A client sends to a server that throws
 * everything away, or is sent to without end, over one connection or several, through two workers. Shown is the rate that arrived between
 * the first second and the fourth, as a part of what is configured, and the least and most of any tenth of a second in it.
 */
import { createServer, type Socket } from 'node:net';
import { connect } from 'node:tls';
import { loopbackBalancer } from './loopback-balancer.ts';

const FROM_MS = 1000;
const TO_MS = 4000;
const STEP_MS = 100;
const CHUNK = Buffer.alloc(64 * 1024);
const RATES = [
  [256 * 1024, 1],
  [256 * 1024, 8],
  [4 * 1024 * 1024, 1],
  [4 * 1024 * 1024, 8],
  [32 * 1024 * 1024, 4],
] as const;

let run = 0;
let arrived = 0;
/** Counts what arrives in one run: what the buffers of the one before still held is none of its. */
const counterOf = (own: number) => (chunk: Buffer) => {
  if (own === run) arrived += chunk.length;
};

function pour(socket: Socket): void {
  const fill = () => {
    while (!socket.destroyed && socket.write(CHUNK));
  };
  socket.on('drain', fill);
  fill();
}

const server = createServer((socket) => {
  socket.on('error', () => undefined);
  socket.once('data', (first: Buffer) => {
    // The first byte says what is measured.
    if (first[0] === 1) pour(socket);
    else socket.on('data', counterOf(run));
  });
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const address = server.address();
if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');

const limitOf = ([rate]: (typeof RATES)[number]) => ({ bandwidth: { upload: rate, download: rate } });
const balancer = await loopbackBalancer({
  targetGroups: [{ name: 'sink', upstreamServers: [`127.0.0.1:${address.port}`], healthCheck: { type: 'none' } }],
  clients: RATES.map((rate, index) => ({ clientId: `client-${index}`, allowedTargetGroup: 'sink', limits: limitOf(rate) })),
});

for (const [index, [rate, connections]] of RATES.entries()) {
  const { certPem, keyPem } = await balancer.issue(`client-${index}`);
  for (const direction of ['upload', 'download'] as const) {
    run++;
    arrived = 0;
    const startedMs = performance.now();
    const sockets = Array.from({ length: connections }, () => {
      const socket = connect({
        port: balancer.port,
        host: '127.0.0.1',
        servername: 'localhost',
        ca: balancer.caPem,
        cert: certPem,
        key: keyPem,
      });
      socket.on('error', () => undefined);
      socket.write(Buffer.of(direction === 'download' ? 1 : 0));
      if (direction === 'upload') pour(socket);
      else socket.on('data', counterOf(run));
      return socket;
    });
    const steps: { readonly atMs: number; readonly bytes: number }[] = [];
    const timer = setInterval(() => steps.push({ atMs: performance.now() - startedMs, bytes: arrived }), STEP_MS);
    await new Promise((resolve) => setTimeout(resolve, TO_MS));
    clearInterval(timer);
    for (const socket of sockets) socket.destroy();
    const measured = steps.filter(({ atMs }) => atMs >= FROM_MS);
    const [first, last] = [measured[0], measured.at(-1)];
    if (first === undefined || last === undefined) throw new Error('this machine is too slow to measure anything');
    const parts = measured.slice(1).map(({ atMs, bytes }, step) => {
      const before = measured[step] ?? first;
      return ((bytes - before.bytes) * 1000) / (atMs - before.atMs) / rate;
    });
    const whole = ((last.bytes - first.bytes) * 1000) / (last.atMs - first.atMs) / rate;
    const percent = (part: number) => `${(part * 100).toFixed(1)} %`;
    console.log(
      `${direction} ${rate / 1024} KiB/s over ${connections}: ${percent(whole)}; each tenth of a second ${percent(Math.min(...parts))} to ${percent(Math.max(...parts))}`,
    );
  }
}
await balancer.stop();
server.close();
