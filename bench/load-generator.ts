/** The program that makes the load: a process of its own that takes orders, one at a time. */
import { beRefused, Door, LoadConnection } from './load-connection.ts';
import type { Answer, Done, Latency, Order } from './messages.ts';

const OPENING_AT_ONCE = 16;
/** A balancer that gives no session within this time gives none. */
const SESSION_WITHIN_MS = 300;

let held: LoadConnection[] = [];

async function carryOut(order: Order): Promise<Done> {
  const startedMs = performance.now();
  const before = process.cpuUsage();
  const took: number[] = [];
  const facts = { resumed: 0, negotiated: '' };
  switch (order.kind) {
    case 'connect': {
      const door = new Door(order.target);
      const session = order.resume ? await sessionOf(door) : undefined;
      await times(order.count, order.atOnce, async () => {
        const beganMs = performance.now();
        const connection = await LoadConnection.open(door, 'echo', session);
        took.push(performance.now() - beganMs);
        if (connection.resumed) facts.resumed++;
        facts.negotiated = connection.negotiated;
        await connection.end();
      });
      break;
    }
    case 'beRefused': {
      const door = new Door(order.target, order.from);
      await times(order.count, order.atOnce, () => beRefused(door));
      break;
    }
    case 'open': {
      const door = new Door(order.target);
      await times(order.count, OPENING_AT_ONCE, async () => {
        const connection = await LoadConnection.open(door, order.mode);
        held.push(connection);
        facts.negotiated = connection.negotiated;
      });
      break;
    }
    case 'exchange': {
      const message = Buffer.alloc(order.bytes, 'x');
      const each = Math.ceil(order.count / order.connections);
      const tell = (ms: number) => took.push(ms);
      await Promise.all(held.slice(0, order.connections).map((connection) => connection.exchange(message, each, tell)));
      break;
    }
    case 'transfer': {
      const each = Math.ceil(order.bytes / held.length);
      await Promise.all(held.map((connection) => connection.transfer(each)));
      break;
    }
    case 'release': {
      const ending = held;
      held = [];
      await Promise.all(ending.map((connection) => connection.end()));
      break;
    }
  }
  const { user, system } = process.cpuUsage(before);
  return {
    seconds: (performance.now() - startedMs) / 1000,
    cpuMs: (user + system) / 1000,
    latency: took.length === 0 ? undefined : latencyOf(took),
    ...facts,
  };
}

/** One that the balancer gives; undefined when it gives none. */
async function sessionOf(door: Door): Promise<Buffer | undefined> {
  const connection = await LoadConnection.open(door, 'echo');
  const session = await connection.session(SESSION_WITHIN_MS);
  await connection.end();
  return session;
}

/** One that fails ends them all: nothing is left that would meet the next order. */
async function times(count: number, atOnce: number, make: () => Promise<void>): Promise<void> {
  let left = count;
  const keepMaking = async () => {
    while (left > 0) {
      left--;
      await make().catch((error: unknown) => {
        left = 0;
        throw error;
      });
    }
  };
  const made = await Promise.allSettled(Array.from({ length: Math.min(count, atOnce) }, keepMaking));
  for (const each of made) if (each.status === 'rejected') throw each.reason;
}

function latencyOf(times: readonly number[]): Latency {
  const sorted = Float64Array.from(times).sort();
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
  return { p50Ms: at(0.5), p99Ms: at(0.99), p999Ms: at(0.999) };
}

/** Of OpenSSL only its sentence: `error:0A00042E:SSL routines:ssl3_read_bytes:tlsv1 alert protocol version:...`. */
function wordsOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return /:SSL routines:[^:]*:([^:]+)/.exec(message)?.[1] ?? message;
}

// Orders come from load.ts alone.
process.on('message', async (order: Order) => {
  const answer = await carryOut(order).then(
    (done): Answer => ({ kind: 'done', done }),
    (error: unknown): Answer => ({ kind: 'failed', message: wordsOf(error) }),
  );
  process.send?.(answer);
});
process.once('disconnect', () => process.exit(0));
