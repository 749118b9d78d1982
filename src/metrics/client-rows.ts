/** The clients as metrics show them: each by name while there are few enough, the rest together. */
import { setImmediate } from 'node:timers/promises';
import type { ClientCounters } from '../controlplane/stats.ts';
import type { Client } from '../domain/model.ts';
import type { RefusalReason } from '../domain/reasons.ts';

/** How many clients have a name of their own in the metrics: each name is a dozen time series. */
const MAX_LABELLED_CLIENTS = 1_000;

/** The label of all the others; a client of this name is one of them. */
export const OTHER_CLIENTS = 'other';

/** After so many, others have their turn. */
const CLIENTS_AT_ONCE = 100;

export interface ClientRow extends ClientCounters {
  readonly label: string;
  /** undefined: no rate limit, or several clients. */
  readonly headroom: number | undefined;
}

export type ReadClient = (client: Client) => ClientCounters & { readonly headroom: number | undefined };

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

function sumOf(one: ClientRow, { active, accepted, bytesFromClient, bytesToClient, refused }: ClientCounters): ClientRow {
  const sum = new Map<RefusalReason, number>(one.refused);
  for (const [reason, times] of refused) sum.set(reason, (sum.get(reason) ?? 0) + times);
  return {
    ...one,
    active: one.active + active,
    accepted: one.accepted + accepted,
    bytesFromClient: one.bytesFromClient + bytesFromClient,
    bytesToClient: one.bytesToClient + bytesToClient,
    refused: sum,
  };
}
