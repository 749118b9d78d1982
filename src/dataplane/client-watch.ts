import type { Socket } from 'node:net';

/** Given as the reason, because each abort without one makes an error with a stack. */
const LEFT = new Error('the client left');

/** Sees a client leave while its connection is not served yet. */
export class ClientWatch {
  readonly #socket: Socket;
  readonly #gone = new AbortController();
  readonly #givenUp = new AbortController();

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('close', this.#onClose).on('end', this.#onEnd);
  }

  /** Aborts when the connection has closed. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** Aborts when the client has ended, too: one that ends without having said a word does not wait for its turn any longer. */
  get givenUp(): AbortSignal {
    return this.#givenUp.signal;
  }

  end(): void {
    this.#socket.removeListener('close', this.#onClose).removeListener('end', this.#onEnd);
  }

  readonly #onClose = (): void => {
    this.#gone.abort(LEFT);
    this.#givenUp.abort(LEFT);
  };

  readonly #onEnd = (): void => this.#givenUp.abort(LEFT);
}
