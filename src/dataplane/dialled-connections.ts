/** A worker's connections that are being connected to their servers: refused when an administrator says so, or when what let them in is withdrawn. */
import type { LaneWriter } from '../shared/memory/lane-writer.ts';
import { type ConnectionFacts, type ConnectionQuery, type ConnectionSelector, type Selectable, selects } from '../shared/messages.ts';
import type { ClientWatch } from './client-watch.ts';
import { connectionFacts, type Facts, numberOf } from './connection-facts.ts';
import { type ConnectionsInOrder, pageOf } from './connection-page.ts';
import { Refusal } from './refusal.ts';
import { type Ground, objectionTo } from './standing.ts';
import type { Dial } from './upstream.ts';
import type { View } from './view.ts';
import { judgeAnew, type Waiting } from './waiting.ts';

/** What is known of a connection when its first server is dialled. */
export interface Dialling extends Pick<Waiting, 'stillTrusted'> {
  readonly ground: Ground;
  readonly facts: Facts;
  readonly client: Pick<ClientWatch, 'gone' | 'refuse'>;
}

export interface DialledConnectionsParts {
  readonly lane: LaneWriter;
  /** The state of now. */
  readonly view: () => View;
  /** Milliseconds since 1970. */
  readonly wallMs: () => number;
}

/** A class, because there is one for each connection: most are done with in less than a millisecond, before anybody asks for anything of them. */
class DialledConnection implements Selectable {
  readonly number: number;
  readonly ground: Ground;
  readonly stillTrusted: Waiting['stillTrusted'];
  /** The address of the one that is dialled now. */
  server = '';
  readonly #facts: Facts;
  readonly #client: Dialling['client'];
  readonly #sinceMs: number;

  constructor({ ground, facts, client, stillTrusted }: Dialling, number: number, sinceMs: number) {
    this.number = number;
    this.ground = ground;
    this.stillTrusted = stillTrusted;
    this.#facts = facts;
    this.#client = client;
    this.#sinceMs = sinceMs;
  }

  get id(): string {
    return this.#facts.id ?? '';
  }

  get clientId(): string {
    return this.ground.clientId;
  }

  get fingerprint(): string {
    return this.ground.identity?.fingerprint ?? '';
  }

  get twins(): readonly string[] {
    return this.ground.identity?.twins ?? [];
  }

  get group(): string {
    return this.ground.group;
  }

  /** The same, and the connection knows whom it dials. */
  noting(dial: Dial): Dial {
    return (server, timeoutMs, gone) => {
      this.server = server.address;
      return dial(server, timeoutMs, gone);
    };
  }

  facts(): ConnectionFacts {
    const waiting = { kind: 'connecting', sinceMs: this.#sinceMs } as const;
    return { ...connectionFacts(this.#facts, this.number, this.ground.identity, undefined, waiting), server: this.server };
  }

  /** False: it ends already. */
  refuse(refusal: Refusal): boolean {
    if (this.#client.gone.aborted) return false;
    this.#client.refuse(refusal);
    return true;
  }
}

export class DialledConnections {
  readonly #parts: DialledConnectionsParts;
  /** Their numbers rise: the order of insertion is theirs. */
  readonly #connections = new Set<DialledConnection>();

  constructor(parts: DialledConnectionsParts) {
    this.#parts = parts;
  }

  /** Delete it when it has its server, or gets none. */
  add(dialling: Dialling): DialledConnection {
    const { lane, wallMs } = this.#parts;
    const connection = new DialledConnection(dialling, numberOf(dialling.facts, lane), wallMs());
    this.#connections.add(connection);
    return connection;
  }

  delete(connection: DialledConnection): void {
    this.#connections.delete(connection);
  }

  list(query: ConnectionQuery): ConnectionsInOrder {
    return pageOf(this.#connections, query);
  }

  /** Refuses the connections that are meant, and says how many they are. */
  refuse(selector: ConnectionSelector): number {
    return this.#refuseThose((connection) =>
      selects(selector, connection)
        ? new Refusal('refused_by_admin', `an administrator closed it while ${connection.server} was dialled`)
        : undefined,
    );
  }

  /** Call it when the state has changed: says how many it ends, because what let them in is withdrawn. */
  reconsider(): number {
    const view = this.#parts.view();
    return this.#refuseThose(({ ground }) => objectionTo(ground, view));
  }

  /**
   * Call it when a CA or a revocation list has changed: whose certificate is withdrawn by it does not wait for the server to hear so, and
   * `onEnded` hears of each.
   */
  rejudge(onEnded: () => void): Promise<void> {
    return judgeAnew(this.#connections, (connection, refusal) => {
      // It may have its server meanwhile; then it was judged once more before it was served.
      if (this.#connections.has(connection) && connection.refuse(refusal)) onEnded();
    });
  }

  #refuseThose(refusalOf: (connection: DialledConnection) => Refusal | undefined): number {
    let refused = 0;
    for (const connection of this.#connections) {
      const refusal = refusalOf(connection);
      if (refusal !== undefined && connection.refuse(refusal)) refused++;
    }
    return refused;
  }
}
