import type { TestContext } from 'node:test';
import type { KeyAndCertificate } from '../../certs/issuing.ts';
import type { ReadyDaemon } from './daemon.ts';
import { connectTo, roundTrip } from './daemon-clients.ts';

export interface Traffic {
  /** Resolves once so many more requests have been answered from now. */
  answeredMore(count: number): Promise<void>;
  /** Stops asking, and says how it went. */
  stop(): Promise<{ readonly answered: number; readonly failures: readonly string[] }>;
}

/** `loops` clients of an echo server, each with one short connection after the other until they are stopped. */
export function startTraffic(
  t: Pick<TestContext, 'after'>,
  daemon: Pick<ReadyDaemon, 'port' | 'ca'>,
  certificate: KeyAndCertificate,
  loops = 4,
): Traffic {
  let running = true;
  let answered = 0;
  const failures: string[] = [];
  const waiting = new Set<() => void>();
  const loop = async () => {
    // The clean-up of each connection is done here: a test that makes thousands must not collect thousands.
    const done = { after: () => undefined };
    while (running) {
      const client = connectTo(done, daemon, certificate);
      try {
        await roundTrip(client, 'ping');
        answered++;
        for (const look of waiting) look();
      } catch (error) {
        failures.push(String(error));
      }
      client.socket.end();
      await client.ending;
    }
  };
  const all = Promise.all(Array.from({ length: loops }, loop));
  const stop = async () => {
    running = false;
    await all;
    return { answered, failures };
  };
  t.after(stop);
  return {
    answeredMore: (count) =>
      new Promise((resolve) => {
        const target = answered + count;
        const look = () => {
          if (answered < target) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
      }),
    stop,
  };
}
