/**
 * Whether one client's flood is another's delay: `node bench/isolation.ts`, two to three minutes. A client makes round trips of 100 bytes
 * over one connection, and opens another connection every so often, while a second client floods from another address, in a
 * thread of its own. Rounds with and without the flood take turns; shown are the ratios of the client's p50 and p99 in a round with the
 * flood to the mean of the rounds without it before and after, as the median over the rounds and their range. First nothing limits the flooder but what
 * every balancer has; then it has limits, and its address a guard.
 *
 * The flooder, the client, their servers and the balancer share the machine's processors: what the flooder's own work takes from the
 * client is in the figures.
 */
import { createServer, type Socket } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { Worker } from 'node:worker_threads';
import { markdownTable } from '../scripts/markdown.ts';
import { FLOODS, type Flood } from './flood.ts';
import { type LoopbackBalancer, loopbackBalancer } from './loopback-balancer.ts';

const ROUNDS = 5;
const ROUND_MS = 800;
/** A flood is let grow, and fade, for this long before anything is measured. */
const SETTLE_MS = 300;
/** 20 a second: the guard of the second half lets an address have 50. */
const NEW_CONNECTION_EVERY_MS = 50;
const WORDS = Buffer.alloc(100, 'x');
const FLOODER_LIMITS = {
  limits: { connectionRate: { limit: 50, window: '1s' }, concurrentConnections: 100, bandwidth: { upload: '4MiB', download: '4MiB' } },
};
const GUARD = { perAddress: { connectionsPerSecond: 50, burst: 50, pendingHandshakes: 20, concurrentConnections: 150 } };

interface Percentiles {
  readonly p50: number;
  readonly p99: number;
}

const echo = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => undefined);
  socket.pipe(socket);
});
await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve));
const address = echo.address();
if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
const quietPort = address.port;

function balancerWith(floodedPort: number, limits: object, guard: object): Promise<LoopbackBalancer> {
  const group = (name: string, port: number) => ({ name, upstreamServers: [`127.0.0.1:${port}`], healthCheck: { type: 'none' } });
  const targetGroups = [group('quiet', quietPort), group('loud', floodedPort)];
  const clients = [
    { clientId: 'quiet', allowedTargetGroup: 'quiet' },
    { clientId: 'loud', allowedTargetGroup: 'loud', ...limits },
  ];
  return loopbackBalancer({ targetGroups, clients }, guard);
}

/** A flooder in a thread of its own, with the port of the server that it floods. */
async function startFlooder(): Promise<{ readonly flooder: Worker; readonly floodedPort: number }> {
  const flooder = new Worker(new URL('./flood.ts', import.meta.url));
  return { flooder, floodedPort: await new Promise<number>((resolve) => flooder.once('message', resolve)) };
}

const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Round trips one after the other for a round. */
async function measure(connectOne: () => Promise<TLSSocket>): Promise<Percentiles> {
  const socket = await connectOne();
  const tookMs: number[] = [];
  const endMs = performance.now() + ROUND_MS;
  let connectAtMs = performance.now() + NEW_CONNECTION_EVERY_MS;
  while (performance.now() < endMs) {
    const startedMs = performance.now();
    await roundTrip(socket);
    tookMs.push(performance.now() - startedMs);
    if (performance.now() >= connectAtMs) {
      connectAtMs += NEW_CONNECTION_EVERY_MS;
      const another = await connectOne();
      await roundTrip(another);
      another.destroy();
    }
  }
  socket.destroy();
  tookMs.sort((a, b) => a - b);
  const at = (part: number) => tookMs[Math.min(tookMs.length - 1, Math.floor(tookMs.length * part))] ?? Number.NaN;
  return { p50: at(0.5), p99: at(0.99) };
}

function roundTrip(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    let missing = WORDS.length;
    const take = (chunk: Buffer) => {
      missing -= chunk.length;
      if (missing > 0) return;
      socket.off('data', take);
      socket.off('close', lost);
      resolve();
    };
    const lost = () => reject(new Error('the measured client lost its connection'));
    socket.on('data', take);
    socket.once('close', lost);
    socket.write(WORDS);
  });
}

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

function ratioText(ratios: readonly number[]): string {
  return `${median(ratios).toFixed(2)} (${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)})`;
}

async function clientOf({ port, caPem, issue }: LoopbackBalancer, commonName: string) {
  const { certPem, keyPem } = await issue(commonName);
  return { port, tls: { servername: 'localhost', ca: caPem, cert: certPem, key: keyPem } };
}

/** Each round with the flood is compared with the mean of those without it right before and after. */
async function rounds(flood: Flood | undefined, flooder: Worker, connectOne: () => Promise<TLSSocket>): Promise<readonly string[]> {
  const ratios: Percentiles[] = [];
  let before = await measure(connectOne);
  for (let round = 0; round < ROUNDS; round++) {
    if (flood !== undefined) flooder.postMessage(flood);
    await wait(SETTLE_MS);
    const during = await measure(connectOne);
    flooder.postMessage('stop');
    await wait(SETTLE_MS);
    const after = await measure(connectOne);
    ratios.push({ p50: (2 * during.p50) / (before.p50 + after.p50), p99: (2 * during.p99) / (before.p99 + after.p99) });
    before = after;
  }
  const quiet = `${before.p50.toFixed(2)} / ${before.p99.toFixed(2)} ms`;
  return [quiet, ratioText(ratios.map(({ p50 }) => p50)), ratioText(ratios.map(({ p99 }) => p99))];
}

async function compare(what: string, limits: object, guard: object, rows: string[][]): Promise<void> {
  const { flooder, floodedPort } = await startFlooder();
  const balancer = await balancerWith(floodedPort, limits, guard);
  const { port, tls } = await clientOf(balancer, 'quiet');
  const connectOne = () =>
    new Promise<TLSSocket>((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', ...tls }, () => {
        socket.setNoDelay();
        resolve(socket);
      });
      socket.once('error', reject);
    });
  flooder.postMessage(await clientOf(balancer, 'loud'));
  // Until the code is compiled.
  for (let round = 0; round < 3; round++) await measure(connectOne);
  for (const flood of [undefined, ...FLOODS]) {
    const cells = await rounds(flood, flooder, connectOne);
    rows.push([flood ?? 'none (the noise)', what, ...cells]);
    console.error(rows.at(-1)?.join('  '));
  }
  await flooder.terminate();
  await balancer.stop();
}

const rows: string[][] = [];
await compare('none', {}, {}, rows);
await compare('client and address', FLOODER_LIMITS, GUARD, rows);
console.log(markdownTable(['flood', 'limits of the flooder', 'p50 / p99 without', 'p50 ratio', 'p99 ratio'], rows));
echo.close();
