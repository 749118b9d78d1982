/**
 * What systemd is told of a service (`Type=notify`, sd_notify(3)). Its socket is of a kind that Node.js does not have (a Unix
 * datagram), so `systemd-notify` sends the messages: the unit needs `NotifyAccess=all`.
 */
import { spawn } from 'node:child_process';

export interface ServiceManagerOptions {
  /** The environment that systemd gave: NOTIFY_SOCKET, WATCHDOG_USEC and PATH are read. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly warn: (message: string) => void;
}

export class ServiceManager {
  readonly #environment: ServiceManagerOptions['environment'];
  readonly #warn: (message: string) => void;
  #sending: Promise<void> = Promise.resolve();
  #watchdog: NodeJS.Timeout | undefined;
  #hasFailed = false;

  constructor({ environment, warn }: ServiceManagerOptions) {
    this.#environment = environment;
    this.#warn = warn;
  }

  /** Serving; from the first time on, a watchdog that was asked for is told twice in its time that we live. */
  ready(status: string): Promise<void> {
    const watchdogMs = Number(this.#environment['WATCHDOG_USEC'] ?? 0) / 1000;
    // Sent by the event loop that everything else depends on: when that is stuck, nothing comes.
    if (watchdogMs > 0) this.#watchdog ??= setInterval(() => void this.#send(['WATCHDOG=1']), watchdogMs / 2).unref();
    return this.#send(['READY=1', `STATUS=${status}`]);
  }

  reloading(): Promise<void> {
    return this.#send(['RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`, 'STATUS=reloading certificates']);
  }

  stopping(status: string): Promise<void> {
    return this.#send(['STOPPING=1', `STATUS=${status}`]);
  }

  /** In order: what was said last holds. */
  #send(assignments: readonly string[]): Promise<void> {
    const socket = this.#environment['NOTIFY_SOCKET'];
    if (socket === undefined || socket === '') return Promise.resolve();
    this.#sending = this.#sending.then(() => this.#run(socket, assignments));
    return this.#sending;
  }

  #run(socket: string, assignments: readonly string[]): Promise<void> {
    return new Promise((resolve) => {
      const child = spawn('systemd-notify', [...assignments], {
        env: { PATH: this.#environment['PATH'], NOTIFY_SOCKET: socket },
        stdio: 'ignore',
        timeout: SEND_WITHIN_MS,
      });
      child.once('error', ({ message }) => {
        this.#fail(message);
        resolve();
      });
      child.once('exit', (code) => {
        if (code !== 0) this.#fail(`systemd-notify ended with ${code}`);
        resolve();
      });
    });
  }

  #fail(why: string): void {
    if (!this.#hasFailed) this.#warn(`systemd cannot be told how lbd is: ${why}`);
    this.#hasFailed = true;
  }
}

const SEND_WITHIN_MS = 10_000;
