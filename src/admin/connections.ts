/** The connections of administrators: whether their certificates are taken still, after another CA or revocation list. */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { RefusalReason } from '../domain/reasons.ts';

/** Why a certificate is not taken, or no longer. */
export interface Objection {
  readonly reason: RefusalReason;
  /** What OpenSSL says, and of which certificate. */
  readonly message: string;
}

/** Says why a new handshake with what was shown on this connection would be refused; undefined: it would not. */
export type ConnectionJudge = (connection: TLSSocket) => Promise<Objection | undefined>;

interface Connection {
  readonly socket: TLSSocket;
  objection: Objection | undefined;
}

/** Judges connections again when the CA or the revocation list has changed; they stay open, so that their calls can be told why they are refused. */
export class AdminConnections {
  /** By the other end, as gRPC tells it. */
  readonly #open = new Map<string, Connection>();
  /** By which judge the handshakes that are under way are held. */
  readonly #handshakes = new Map<string, number>();
  #judge: ConnectionJudge = async () => undefined;
  #judges = 0;

  /** A handshake begins. */
  accepted(socket: Socket): void {
    const peer = peerOf(socket);
    this.#handshakes.set(peer, this.#judges);
    socket.once('close', () => this.#handshakes.delete(peer));
  }

  /** A handshake is through: takes the connection in, unless there has been a change since it began that it does not outlast. */
  async verified(socket: TLSSocket): Promise<Objection | undefined> {
    const peer = peerOf(socket);
    for (let judge = this.#handshakes.get(peer) ?? this.#judges; judge !== this.#judges; ) {
      judge = this.#judges;
      const objection = await this.#judge(socket);
      if (objection !== undefined) return objection;
    }
    const connection = { socket, objection: undefined };
    this.#open.set(peer, connection);
    socket.once('close', () => {
      if (this.#open.get(peer) === connection) this.#open.delete(peer);
    });
    return undefined;
  }

  /** Holds everybody to another judge from now on; resolves with how many connections it refuses that there were. */
  async judgeAnew(judge: ConnectionJudge): Promise<number> {
    this.#judge = judge;
    const number = ++this.#judges;
    let refused = 0;
    for (const connection of [...this.#open.values()]) {
      const objection = await judge(connection.socket);
      // The next judge sees them all.
      if (number !== this.#judges) break;
      if (objection !== undefined && connection.objection === undefined) refused++;
      connection.objection = objection;
    }
    return refused;
  }

  /** What is held against the connection from this peer, `host:port`. */
  objectionTo(peer: string): Objection | undefined {
    return this.#open.get(peer)?.objection;
  }

  /** The connection from this peer; undefined: it is closed. */
  from(peer: string): TLSSocket | undefined {
    return this.#open.get(peer)?.socket;
  }
}

function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress}:${remotePort}`;
}
