import type { Socket } from 'node:net';
import { Refusal } from './refusal.ts';

/** Given as the reason, because each abort without one makes an error with a stack. */
const LEFT = new Error('the client left');

/** Sees a client leave while its connection is not served yet, or hears that it is to. */
export class ClientWatch {
  readonly #socket: Socket;
  readonly #gone = new AbortController();
  readonly #givenUp = new AbortController();

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('close', this.#onClose).on('end', this.#onEnd);
  }

  /** Aborts when the connection has closed, or is refused: then with the refusal as the reason. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** Aborts when the client has ended, too: one that ends without having said a word does not wait for its turn any longer. */
  get givenUp(): AbortSignal {
    return this.#givenUp.signal;
  }

  /** Whatever is done for it now is done in vain. */
  refuse(refusal: Refusal): void {
    this.#gone.abort(refusal);
  }

  /** It is served from here on. @throws Refusal when it was refused before */
  end(): void {
    this.#socket.removeListener('close', this.#onClose).removeListener('end', this.#onEnd);
    const refusal = refusalIn(this.gone);
    if (refusal !== undefined) throw refusal;
  }

  readonly #onClose = (): void => {
    this.#gone.abort(LEFT);
    this.#givenUp.abort(LEFT);
  };

  readonly #onEnd = (): void => this.#givenUp.abort(LEFT);
}

/** Why the signal of a client that is gone has aborted; undefined: the client left by itself, or is still there. */
export function refusalIn({ reason }: AbortSignal): Refusal | undefined {
  return reason instanceof Refusal ? reason : undefined;
}
