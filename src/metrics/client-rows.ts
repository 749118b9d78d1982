/** The clients as metrics show them: each by name while there are few enough, the rest together. */
import { setImmediate } from 'node:timers/promises';
import type { ClientCounters, ClientHeadroom } from '../controlplane/stats.ts';
import type { Client } from '../domain/model.ts';

/** How many clients have a name of their own in the metrics: each name is a dozen time series. */
const MAX_LABELLED_CLIENTS = 1_000;

/** The label of all the others; a client of this name is one of them. */
export const OTHER_CLIENTS = 'other';

/** After so many, others have their turn. */
const CLIENTS_AT_ONCE = 100;

export interface ClientRow extends ClientCounters {
  readonly label: string;
  /** undefined: several clients. */
  readonly headroom: ClientHeadroom | undefined;
}

export type ReadClient = (client: Client) => ClientCounters & { readonly headroom: ClientHeadroom };

/** Reads every client. Who has a name of his own keeps it: a series that changes its meaning is worse than one that is missing. */
export class ClientRows {
  readonly #labelled = new Set<string>();
  readonly #most: number;

  constructor(most = MAX_LABELLED_CLIENTS) {
    this.#most = most;
  }

  async read(clients: ReadonlyMap<string, Client>, read: ReadClient): Promise<readonly ClientRow[]> {
    for (const clientId of this.#labelled) if (!clients.has(clientId)) this.#labelled.delete(clientId);
    const rows: ClientRow[] = [];
    let others: ClientRow | undefined;
    let seen = 0;
    for (const client of clients.values()) {
      if (++seen % CLIENTS_AT_ONCE === 0) await setImmediate();
      const counters = read(client);
      if (this.#hasLabel(client.clientId)) rows.push({ label: client.clientId, ...counters });
      else others = others === undefined ? { label: OTHER_CLIENTS, ...counters, headroom: undefined } : sumOf(others, counters);
    }
    return others === undefined ? rows : [...rows, others];
  }

  #hasLabel(clientId: string): boolean {
    if (clientId === OTHER_CLIENTS) return false;
    if (this.#labelled.size < this.#most) this.#labelled.add(clientId);
    return this.#labelled.has(clientId);
  }
}

function sumOf(one: ClientRow, counters: ClientCounters): ClientRow {
  const { active, accepted, bytesFromClient, bytesToClient, refused, paced, delayed, queued, shadow } = counters;
  return {
    ...one,
    active: one.active + active,
    accepted: one.accepted + accepted,
    bytesFromClient: one.bytesFromClient + bytesFromClient,
    bytesToClient: one.bytesToClient + bytesToClient,
    refused: together(one.refused, refused),
    paced: { upload: one.paced.upload + paced.upload, download: one.paced.download + paced.download },
    delayed: one.delayed + delayed,
    queued: one.queued + queued,
    shadow: together(one.shadow, shadow),
  };
}

function together<T>(one: ReadonlyMap<T, number>, other: ReadonlyMap<T, number>): ReadonlyMap<T, number> {
  const sum = new Map(one);
  for (const [key, times] of other) sum.set(key, (sum.get(key) ?? 0) + times);
  return sum;
}
