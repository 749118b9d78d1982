/**
 * Whether one client's flood is another's delay: `node bench/isolation.ts`, about four minutes. A client makes round trips of 100 bytes
 * over one connection, and opens another connection every so often, while a second client floods from another address.
 * Rounds with and without the flood take turns; shown are the ratios of the client's p50 and p99 in a round with the flood to the mean of
 * the rounds without it before and after, as the median over the rounds and their range. First nothing bounds the flooder
 * but what every balancer has; then it has limits, and its address a guard. HAProxy, where it is found, is flooded in the same way.
 *
 * The balancer has one worker and one processor, everything else the others. There the flooder is a process of the lowest priority, which
 * yields to the measured client at once: so what the measured client waits for is the balancer.
 */

import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { markdownTable } from '../scripts/markdown.ts';
import { type KeyPairFiles, makeCertificates } from './certificates.ts';
import { type Child, Children, pinning } from './children.ts';
import { FLOODS, type Flood, type FlooderReady, type FloodOrder } from './floods.ts';
import { type Flooded, startHaproxy, startLbd } from './isolation-balancers.ts';

const ROUNDS = 5;
const ROUND_MS = 800;
/** A flood is let grow, and fade, for this long before anything is measured. */
const SETTLE_MS = 300;
/** 20 a second: the guard of the second half lets an address have 50. */
const NEW_CONNECTION_EVERY_MS = 50;
const WORDS = Buffer.alloc(100, 'x');

interface Percentiles {
  readonly p50: number;
  readonly p99: number;
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

/** Each round with the flood is compared with the mean of those without it right before and after. */
async function rounds(flood: Flood | undefined, flooder: Child, connectOne: () => Promise<TLSSocket>): Promise<readonly string[]> {
  const ratios: Percentiles[] = [];
  let before = await measure(connectOne);
  for (let round = 0; round < ROUNDS; round++) {
    if (flood !== undefined) flooder.process.send(flood);
    await wait(SETTLE_MS);
    const during = await measure(connectOne);
    flooder.process.send('stop');
    await wait(SETTLE_MS);
    const after = await measure(connectOne);
    ratios.push({ p50: (2 * during.p50) / (before.p50 + after.p50), p99: (2 * during.p99) / (before.p99 + after.p99) });
    before = after;
  }
  const quiet = `${before.p50.toFixed(2)} / ${before.p99.toFixed(2)} ms`;
  return [quiet, ratioText(ratios.map(({ p50 }) => p50)), ratioText(ratios.map(({ p99 }) => p99))];
}

async function tlsOf({ certificate, key }: KeyPairFiles, caFile: string): Promise<ConnectionOptions> {
  const [ca, cert, keyPem] = await Promise.all([caFile, certificate, key].map((file) => readFile(file, 'utf8')));
  return { servername: 'localhost', ca, cert, key: keyPem };
}

const children = new Children();
const folder = await mkdtemp(path.join(tmpdir(), 'portcullis-isolation-'));
const { balancer: balancerOn, load: loadOn } = pinning();
if (loadOn !== undefined) spawnSync('taskset', ['-a', '-c', '-p', loadOn, String(process.pid)]);
const echo = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => undefined);
  socket.pipe(socket);
});
echo.listen(0, '127.0.0.1');
await once(echo, 'listening');
const address = echo.address();
if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
const quietServer = `127.0.0.1:${address.port}`;
const certificates = await makeCertificates(folder, 'P-256');
const tls = await tlsOf(certificates.client, certificates.ca);
const loudTls = await tlsOf(certificates.stranger, certificates.ca);

type Start = (bounded: boolean, surroundings: Parameters<typeof startLbd>[1]) => Promise<Flooded | undefined>;

async function flooded(start: Start, bounded: boolean): Promise<readonly (readonly string[])[]> {
  const own = path.join(folder, `${start.name}-${bounded}`);
  await mkdir(own);
  const flooder = children.start({
    command: 'nice',
    args: ['-n', '19', process.execPath, path.join(import.meta.dirname, 'flood.ts')],
    processors: loadOn,
    ipc: true,
  });
  // The other end is flood.ts, which says this first.
  const [{ address: loud }] = (await once(flooder.process, 'message')) as [FlooderReady];
  const servers = { quiet: quietServer, loud };
  const balancer = await start(bounded, { children, folder: own, certificates, processors: balancerOn, servers });
  const rows: (readonly string[])[] = [];
  if (balancer !== undefined) {
    const { port, name } = balancer;
    const connectOne = () =>
      new Promise<TLSSocket>((resolve, reject) => {
        const socket = connect({ port, host: '127.0.0.1', ...tls }, () => {
          socket.setNoDelay();
          resolve(socket);
        });
        socket.once('error', reject);
      });
    flooder.process.send({ port, tls: loudTls } satisfies FloodOrder);
    // Until the code is compiled.
    for (let round = 0; round < 3; round++) await measure(connectOne);
    for (const flood of [undefined, ...FLOODS]) {
      const row = [
        flood ?? 'none: the noise',
        bounded ? 'client and address' : 'none',
        name,
        ...(await rounds(flood, flooder, connectOne)),
      ];
      rows.push(row);
      console.error(row.join('  '));
    }
    await balancer.child.end();
  }
  await flooder.end();
  return rows;
}

try {
  const rows: (readonly string[])[] = [];
  for (const bounded of [false, true]) {
    for (const start of [startLbd, startHaproxy]) rows.push(...(await flooded(start, bounded)));
  }
  console.log(markdownTable(['flood', 'bounds of the flooder', 'balancer', 'p50 / p99 without', 'p50 ratio', 'p99 ratio'], rows));
} finally {
  await children.close();
  echo.close();
  await rm(folder, { recursive: true, force: true, maxRetries: 3 });
}
