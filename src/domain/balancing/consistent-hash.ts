import { type Balancer, type Candidate, effectiveWeight, hasWeight } from './balancer.ts';
import { hashPair, hashText } from './hash.ts';
import { sharedMaglevTable } from './maglev.ts';

/**
 * The server that the key hashes to in a Maglev table of the whole roster, so that keys of other servers stay where they are when one
 * goes away or comes back. Where that one cannot take the connection, the next in the table, which are others for each key.
 *
 * With bounded loads (Mirrokni, Thorup and Zadimoghaddam, "Consistent hashing with bounded loads", SODA 2018; HAProxy's
 * hash-balance-factor) a server takes at most ceil(factor/100 x the average for its weight, the new connection included), and what
 * does not fit goes to the next one that has room.
 */
export class ConsistentHash<S extends Candidate> implements Balancer<S> {
  readonly #balanceFactor: number;
  #roster: readonly S[] = [];
  #table: Uint16Array = new Uint16Array();
  /** What the table was made from. */
  #madeFrom = '';
  /** The roster, without those that cannot be proposed now. */
  #open: readonly (S | undefined)[] = [];
  #servers: readonly S[] = [];
  /** Connections of each server as last seen, and of all. */
  #loads = new Int32Array();
  #loadOfAll = 0;
  #weightOfAll = 0;
  /** The last question that each server of the roster was proposed to. */
  #proposedTo = new Float64Array();
  #question = 0;

  /** 0: a server takes as many as hash to it. */
  constructor(balanceFactor: number) {
    this.#balanceFactor = balanceFactor;
  }

  update(servers: readonly S[], roster = servers): void {
    this.#tabulate(roster);
    const open = new Set(servers);
    this.#open = roster.map((server) => (open.has(server) ? server : undefined));
    this.#servers = servers;
    this.#loads = Int32Array.from(servers, (server) => server.active());
    this.#loadOfAll = this.#loads.reduce((sum, load) => sum + load, 0);
    this.#weightOfAll = servers.reduce((sum, server) => sum + effectiveWeight(server), 0);
  }

  *candidates(key: number): Generator<S> {
    if (this.#weightOfAll === 0) return;
    const question = ++this.#question;
    const size = this.#table.length;
    let left = this.#servers.length;
    const waived: S[] = [];
    const over: S[] = [];
    for (let step = 0, entry = key % size; step < size && left > 0; step++) {
      const place = this.#table[entry] ?? 0;
      entry = entry + 1 < size ? entry + 1 : 0;
      if (step > 0 && this.#proposedTo[place] === question) continue;
      const server = this.#open[place];
      if (server !== undefined && hasWeight(server)) {
        left--;
        if (!this.#hasRoom(server)) over.push(server);
        else if (isTurnOf(server, key)) yield server;
        else waived.push(server);
      }
      // Afterwards, since most questions end with the first server.
      this.#proposedTo[place] = question;
    }
    yield* waived;
    // Within the bounds there is room for one more always: who comes this far has been refused by all that have it.
    yield* over;
  }

  taken(position: number): void {
    this.changed(position);
  }

  changed(position: number): void {
    const load = this.#servers[position]?.active() ?? 0;
    this.#loadOfAll += load - (this.#loads[position] ?? 0);
    this.#loads[position] = load;
  }

  #hasRoom(server: S): boolean {
    if (this.#balanceFactor === 0) return true;
    const fair = ((this.#loadOfAll + 1) * effectiveWeight(server)) / this.#weightOfAll;
    return server.active() < Math.ceil((this.#balanceFactor / 100) * fair);
  }

  /** Filling a large table takes milliseconds: only when something that it depends on is another. */
  #tabulate(roster: readonly S[]): void {
    if (roster === this.#roster) return;
    this.#roster = roster;
    this.#proposedTo = new Float64Array(roster.length);
    const madeFrom = roster.map(({ address, weight }) => `${address} ${weight}`).join('\n');
    if (madeFrom === this.#madeFrom) return;
    this.#madeFrom = madeFrom;
    this.#table = roster.some(({ weight }) => weight > 0) ? sharedMaglevTable(roster) : new Uint16Array();
  }
}

/** A server that takes only a part of its share takes the same keys of it at all times, and more of them as the part grows. */
function isTurnOf(server: Candidate, key: number): boolean {
  const part = server.share * server.capacity;
  return part >= 1 || hashPair(key, hashText(server.address)) / 2 ** 32 < part;
}
