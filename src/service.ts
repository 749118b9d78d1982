/** lbd as a service: in the place of the one before, if there is one, and with word to systemd of how it is. */
import type { Logger } from 'pino';
import type { Config } from './config/config.ts';
import { Daemon, type DaemonOptions } from './daemon.ts';
import type { ServiceManager } from './service-manager.ts';
import { stateFileOf } from './state-file.ts';
import { awaitSuccessor, RunningLbd } from './takeover.ts';

export interface ServiceOptions extends Omit<DaemonOptions, 'takesOver'> {
  readonly manager: ServiceManager;
  /** The Unix socket at which lbd takes over from another and waits for the next; undefined: it does neither. */
  readonly takeover: string | undefined;
  /** Drains and ends this lbd: another has taken over. */
  readonly retire: () => void;
}

/** What signals do to a running service. */
export interface Service {
  reload(): Promise<void>;
  stop(): Promise<void>;
  hurry(): void;
}

/** Resolves when it serves, and the lbd that it takes over from has begun to end. @throws TakeoverError, and as Daemon.start does */
export async function startService(config: Config, { manager, takeover, retire, ...options }: ServiceOptions): Promise<Service> {
  const predecessor = takeover === undefined ? undefined : await RunningLbd.find(takeover, stateFileOf(config.store));
  const daemon = await Daemon.start(config, { ...options, takesOver: predecessor !== undefined });
  await predecessor?.retire().catch((err: unknown) => options.log.error({ err }, 'the lbd before may still run: end it'));
  const waiting = takeover === undefined ? undefined : await waitForSuccessor(takeover, daemon, retire, options.log);
  await manager.ready('serving');
  return {
    reload: async () => {
      await manager.reloading();
      await daemon.reload();
      await manager.ready('serving');
    },
    stop: async () => {
      waiting?.close();
      await Promise.all([manager.stopping('no new connections; waiting for the present ones to end'), daemon.stop()]);
    },
    hurry: () => daemon.hurry(),
  };
}

async function waitForSuccessor(path: string, daemon: Daemon, retire: () => void, log: Logger): Promise<{ close(): void }> {
  const predecessor = {
    objectionTo: (stateFile: string) => daemon.objectionTo(stateFile),
    handOver: () => daemon.handOver(),
    takeBack: () => daemon.takeBack(),
    retire,
  };
  try {
    return await awaitSuccessor(path, predecessor, log);
  } catch (error) {
    await daemon.stop(0);
    throw error;
  }
}
