/** A TCP proxy that makes network faults: it pauses, delays and resets. After etcd3's traffic proxy. */
import { connect, type Socket } from 'node:net';
import { Transform } from 'node:stream';
import type { TestContext } from 'node:test';
import { startUpstream } from './echo-servers.ts';

export interface FaultyLink {
  readonly port: number;
  /** `127.0.0.1:port`: connect here instead of to the target. */
  readonly address: string;
  /** Connections open now. */
  readonly open: number;
  acceptedAtLeast(count: number): Promise<void>;
  /** From now on nothing is read from either side; connections are still accepted. */
  pause(): void;
  resume(): void;
  /** Each chunk waits this long in each direction. */
  delay(milliseconds: number): void;
  /** Resets every connection on both sides. */
  resetAll(): void;
  /** Refuses connections from now on, and resets those that are open. */
  cut(): Promise<void>;
}

/** A link to `port` on loopback. It ends with its test. */
export async function faultyLink(t: Pick<TestContext, 'after'>, port: number): Promise<FaultyLink> {
  const pairs = new Set<{ readonly near: Socket; readonly far: Socket }>();
  let paused = false;
  let delayMs = 0;
  const held = new Set<() => void>();
  const release = () => {
    const ready = [...held];
    held.clear();
    for (const pass of ready) pass();
  };

  /** Holds each chunk while the link is paused; holding the one stops the reading of the next. */
  const gate = () =>
    new Transform({
      transform(chunk, _encoding, done) {
        const pass = () => {
          if (paused) held.add(pass);
          else done(null, chunk);
        };
        if (delayMs > 0) setTimeout(pass, delayMs);
        else pass();
      },
      flush(done) {
        const pass = () => {
          if (paused) held.add(pass);
          else done();
        };
        pass();
      },
    });

  const server = await startUpstream(t, (near) => {
    const far = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    const pair = { near, far };
    pairs.add(pair);
    near.pipe(gate()).pipe(far);
    far.pipe(gate()).pipe(near);
    far.on('error', () => near.resetAndDestroy());
    near.on('error', () => far.resetAndDestroy());
    near.on('close', () => {
      pairs.delete(pair);
      if (!far.destroyed) far.destroy();
    });
    far.on('close', () => {
      if (!near.destroyed && !near.writableEnded) near.destroy();
    });
  });

  const resetAll = () => {
    for (const { near, far } of pairs) {
      near.resetAndDestroy();
      far.resetAndDestroy();
    }
  };
  t.after(() => {
    paused = false;
    resetAll();
  });
  return {
    port: server.port,
    address: server.address,
    get open() {
      return pairs.size;
    },
    acceptedAtLeast: server.acceptedAtLeast,
    pause: () => {
      paused = true;
    },
    resume: () => {
      paused = false;
      release();
    },
    delay: (milliseconds) => {
      delayMs = milliseconds;
    },
    resetAll,
    cut: server.close,
  };
}
