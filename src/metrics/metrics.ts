/** Every metric of Portcullis: its name, what it means, and where its values are read. */
import { setImmediate } from 'node:timers/promises';
import { collectDefaultMetrics, Registry } from 'prom-client';
import type { ClientHeadroom, ServerBalance, ServerCounters, Stats } from '../controlplane/stats.ts';
import type { StoreWriteTotals } from '../controlplane/store/store-writes.ts';
import { SILENT_AGENT } from '../domain/agent-report.ts';
import type { Snapshot } from '../domain/model.ts';
import { DIRECTIONS } from '../domain/ratelimit/byte-line.ts';
import { CLOSE_REASONS, REFUSAL_REASONS, type Reason } from '../domain/reasons.ts';
import { firstEnds, type TlsEnd } from '../domain/tls-ends.ts';
import type { ListenerTotals } from '../shared/memory/listener-cells.ts';
import { type ClientRow, ClientRows } from './client-rows.ts';
import { collectLatency, type Description, familyText, type Sample } from './collected.ts';

/** Where the values come from. */
export interface MetricsSources {
  snapshot(): Snapshot;
  readonly stats: Stats;
  /** Whether the server may be used, as far as its checks say. */
  isHealthy(group: string, server: string): boolean;
  /** Connections of the group that are still to move after a recovery; undefined: none are being moved. */
  rebalancing(group: string): number | undefined;
  storeWrites(): StoreWriteTotals;
  /** Calls of the admin API so far. */
  adminCalls(): Iterable<{ readonly method: string; readonly code: string; readonly count: number }>;
  /** When certificates and what goes with them end. */
  tlsEnds(): readonly TlsEnd[];
  readonly workers: number;
  readonly version: string;
}

/** Named against the conventions (`_total` is for counters), and of no use here. */
const LEFT_OUT = ['nodejs_active_resources_total', 'nodejs_active_handles_total', 'nodejs_active_requests_total'];

interface Family {
  readonly description: Description;
  readonly type: 'counter' | 'gauge';
  readonly read: () => Iterable<Sample>;
}

export class Metrics {
  /** Of the process and of histograms; the families may be long, and are written a part at a time. */
  readonly #registry = new Registry();
  readonly #families: Family[] = [];
  readonly #sources: MetricsSources;
  readonly #clientRows = new ClientRows();
  #clients: readonly ClientRow[] = [];

  constructor(sources: MetricsSources) {
    this.#sources = sources;
    this.#describeConnections();
    this.#describeServers();
    this.#describeClients();
    this.#describeAdministration();
    collectDefaultMetrics({ register: this.#registry });
    for (const name of LEFT_OUT) this.#registry.removeSingleMetric(name);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** All of them, in Prometheus' text format, in parts; in between others have their turn: with many servers it is long. */
  async parts(): Promise<readonly Buffer[]> {
    const { stats } = this.#sources;
    this.#clients = await this.#clientRows.read(this.#sources.snapshot().clients, (client) => ({
      ...stats.client(client.clientId),
      headroom: stats.headroom(client),
    }));
    const parts: Buffer[] = [];
    for (const { description, type, read } of this.#families)
      for await (const part of familyText(description, type, read())) parts.push(part);
    for (const { name } of this.#registry.getMetricsAsArray()) {
      parts.push(Buffer.from(`${await this.#registry.getSingleMetricAsString(name)}\n`));
      await setImmediate();
    }
    return parts;
  }

  #describeConnections(): void {
    const { stats } = this.#sources;
    const byReason = function* (reasons: readonly Reason[]): Generator<Sample> {
      const counts = stats.totals().byReason;
      for (const reason of reasons) yield { labels: { reason }, value: counts.get(reason) ?? 0 };
    };
    this.#counter('connections_total', 'Connections that were served.', () => one(stats.totals().accepted));
    this.#counter('refused_total', 'Connections that were refused, by reason.', () => byReason(REFUSAL_REASONS));
    this.#gauge('refused_connections_held', 'Connections over perAddress that are refused and held for their reset now.', () =>
      one(stats.held()),
    );
    this.#counter('closed_total', 'Connections that were served and have ended, by reason.', () => byReason(CLOSE_REASONS));
    this.#counter('resumed_sessions_total', 'TLS sessions that clients took up again (sessionTickets).', () =>
      one(stats.resumedSessions()),
    );
    collectLatency(
      this.#registry,
      { name: 'portcullis_handshake_duration_seconds', help: 'Time from accept to a verified TLS handshake, of those that succeeded.' },
      () => stats.latencies().handshake,
    );
    collectLatency(
      this.#registry,
      { name: 'portcullis_upstream_connect_duration_seconds', help: 'Time to a connected upstream server, retries included.' },
      () => stats.latencies().connect,
    );
    collectLatency(
      this.#registry,
      { name: 'portcullis_queue_wait_duration_seconds', help: 'Time in the queue, of connections that waited for a place and got one.' },
      () => stats.latencies().queued,
    );
    collectLatency(
      this.#registry,
      {
        name: 'portcullis_delay_duration_seconds',
        help: 'Time that connections waited for their turn by action: delay, of those it came for.',
      },
      () => stats.latencies().delay,
    );
    this.#describeListenersAndGroups();
  }

  #describeListenersAndGroups(): void {
    const { snapshot, stats, rebalancing } = this.#sources;
    const byListener = function* (value: (totals: ListenerTotals) => number): Generator<Sample> {
      for (const { name } of snapshot().listeners) yield { labels: { listener: name }, value: value(stats.listener(name)) };
    };
    this.#gauge('listener_connections_active', 'Connections that came by the listener and are served now.', () =>
      byListener(({ active }) => active),
    );
    this.#counter('listener_connections_total', 'Connections that came by the listener and were served.', () =>
      byListener(({ accepted }) => accepted),
    );
    this.#counter('listener_refused_total', 'Connections that came by the listener and were refused.', () =>
      byListener(({ refused }) => refused),
    );
    this.#gauge('queue_length', 'Connections that wait for a place on a server now; only groups with a queue have it.', function* () {
      for (const { name, queue } of snapshot().targetGroups.values())
        if (queue !== undefined) yield { labels: { target_group: name }, value: Math.max(0, stats.waiting(name)) };
    });
    this.#gauge('rebalance_remaining', 'Connections still to move after a recovery; only groups that asked for it have it.', function* () {
      for (const { name, rebalance } of snapshot().targetGroups.values())
        if (rebalance !== undefined) yield { labels: { target_group: name }, value: rebalancing(name) ?? 0 };
    });
  }

  #describeServers(): void {
    const { snapshot, stats, isHealthy } = this.#sources;
    const each = function* (value: (counters: ServerCounters) => number): Generator<Sample> {
      for (const { name, servers } of snapshot().targetGroups.values()) {
        for (const { address } of servers)
          yield { labels: { target_group: name, server: address }, value: value(stats.server(name, address)) };
      }
    };
    // A gauge that two threads change can be seen a moment below zero.
    this.#gauge('connections_active', 'Connections to the upstream server now.', () => each(({ active }) => Math.max(0, active)));
    this.#counter('upstream_connections_total', 'Connections made to the upstream server.', () => each(({ connected }) => connected));
    this.#counter('upstream_connect_failures_total', 'Failed attempts to connect to the upstream server.', () =>
      each(({ failed }) => failed),
    );
    this.#counter('upstream_sent_bytes_total', 'Bytes sent to the upstream server.', () => each(({ bytesToUpstream }) => bytesToUpstream));
    this.#counter('upstream_received_bytes_total', 'Bytes received from the upstream server.', () =>
      each(({ bytesFromUpstream }) => bytesFromUpstream),
    );
    const balance = function* (value: (balance: ServerBalance) => number | undefined): Generator<Sample> {
      for (const { name, servers, slowStartMs } of snapshot().targetGroups.values()) {
        for (const { address } of servers) {
          const known = stats.balance(name, address, slowStartMs);
          const shown = known === undefined ? undefined : value(known);
          if (shown !== undefined) yield { labels: { target_group: name, server: address }, value: shown };
        }
      }
    };
    this.#gauge('upstream_connect_latency_seconds', 'How long connecting takes, averaged as by leastLatency.', () =>
      balance(({ connectMs }) => (connectMs === undefined ? undefined : connectMs / 1000)),
    );
    this.#gauge(
      'upstream_agent_capacity_ratio',
      'The part of its weight that its agent says the server is good for, 1 for all of it.',
      () => balance(({ agent }) => (agent.percent === undefined ? undefined : agent.percent / 100)),
    );
    this.#gauge('upstream_agent_available', '0 when the agent of the server keeps new connections away, 1 when it does not.', () =>
      balance(({ agent }) => (agent === SILENT_AGENT ? undefined : agent.standing === 'up' ? 1 : 0)),
    );
    this.#gauge('upstream_slow_start_ratio', 'The part of its share that a server in slow start gets; only those have it.', () =>
      balance(({ slowStartShare }) => (slowStartShare === 1 ? undefined : slowStartShare)),
    );
    this.#gauge('upstream_ejected', '1 while the upstream server is ejected because connections to it fail.', () =>
      balance(({ isEjected }) => (isEjected ? 1 : 0)),
    );
    this.#counter('upstream_ejections_total', 'Ejections of the upstream server.', () => balance(({ ejections }) => ejections));
    this.#gauge('target_group_panic', '1 while too few servers of the group are healthy for health to be looked at.', function* () {
      for (const { name } of snapshot().targetGroups.values())
        yield { labels: { target_group: name }, value: stats.isInPanic(name) ? 1 : 0 };
    });
    this.#gauge('server_healthy', '1 when the upstream server is healthy, 0 when it is not or nothing is known yet.', function* () {
      for (const { name, servers } of snapshot().targetGroups.values()) {
        for (const { address } of servers)
          yield { labels: { target_group: name, server: address }, value: isHealthy(name, address) ? 1 : 0 };
      }
    });
  }

  #describeClients(): void {
    const each = (value: (row: ClientRow) => number) =>
      this.#clients.map((row): Sample => ({ labels: { client: row.label }, value: value(row) }));
    this.#gauge('client_connections_active', 'Connections that the client holds now.', () => each(({ active }) => Math.max(0, active)));
    this.#gauge('client_connections_delayed', 'Connections of the client that wait now for their turn by its rate limit.', () =>
      each(({ delayed }) => delayed),
    );
    this.#gauge('client_connections_queued', 'Connections of the client that wait now for a place on a server.', () =>
      each(({ queued }) => queued),
    );
    this.#counter('client_connections_total', 'Connections of the client that were served.', () => each(({ accepted }) => accepted));
    this.#counter('client_received_bytes_total', 'Bytes received from the client.', () => each(({ bytesFromClient }) => bytesFromClient));
    this.#counter('client_sent_bytes_total', 'Bytes sent to the client.', () => each(({ bytesToClient }) => bytesToClient));
    this.#counter('client_refused_total', 'Connections of the client that were refused, by reason.', () =>
      this.#clients.flatMap(({ label, refused }) =>
        [...refused].map(([reason, value]): Sample => ({ labels: { client: label, reason }, value })),
      ),
    );
    this.#counter('client_shadow_refused_total', 'What limits in shadow would have done to the client, by what they would have.', () =>
      this.#clients.flatMap(({ label, shadow }) =>
        [...shadow].map(([reason, value]): Sample => ({ labels: { client: label, reason }, value })),
      ),
    );
    this.#counter('client_paced_bytes_total', 'Bytes that waited for the bandwidth of the client, by direction.', () =>
      this.#clients.flatMap(({ label, paced }) =>
        DIRECTIONS.map((direction): Sample => ({ labels: { client: label, direction }, value: paced[direction] })),
      ),
    );
    const left = (read: (headroom: ClientHeadroom) => number | undefined, labels: Sample['labels'] = {}) =>
      this.#clients.flatMap(({ label, headroom }): Sample[] => {
        const value = headroom === undefined ? undefined : read(headroom);
        return value === undefined ? [] : [{ labels: { client: label, ...labels }, value }];
      });
    this.#gauge('client_rate_headroom', 'Connections that the rate limit of the client would admit now.', () => left(({ rate }) => rate));
    this.#gauge('client_connections_headroom', 'Connections that the client may hold besides those it has.', () =>
      left(({ connections }) => connections),
    );
    this.#gauge('client_bandwidth_headroom_bytes', 'Bytes that would pass now without waiting, by direction.', () =>
      DIRECTIONS.flatMap((direction) => left((headroom) => headroom[direction], { direction })),
    );
  }

  #describeAdministration(): void {
    const { storeWrites, adminCalls, tlsEnds, snapshot, workers, version } = this.#sources;
    this.#counter('store_changes_total', 'Changes of the state that were kept.', () => one(storeWrites().kept));
    this.#counter('store_failures_total', 'Changes of the state that could not be kept.', () => one(storeWrites().failed));
    this.#gauge('store_last_write_duration_seconds', 'Time that the last attempt to keep a change took.', () =>
      one(storeWrites().lastSeconds),
    );
    this.#gauge('state_revision', 'Revision of the state in force.', () => one(snapshot().revision));
    this.#counter('admin_rpcs_total', 'Calls of the admin API that have ended, by method and status code.', () =>
      [...adminCalls()].map(({ method, code, count }): Sample => ({ labels: { method, code }, value: count })),
    );
    this.#gauge('tls_end_timestamp_seconds', 'When a certificate, OCSP response, CA or revocation list in force ends, since 1970.', () =>
      firstEnds(tlsEnds()).map(
        ({ usedBy, kind, file, endsAtMs }): Sample => ({ labels: { used_by: usedBy, kind, file }, value: endsAtMs / 1000 }),
      ),
    );
    this.#gauge('workers', 'Worker threads configured.', () => one(workers));
    this.#gauge('build_info', 'Always 1; the label says which version runs.', () => [{ labels: { version }, value: 1 }]);
  }

  #counter(name: string, help: string, read: () => Iterable<Sample>): void {
    this.#families.push({ description: { name: `portcullis_${name}`, help }, type: 'counter', read });
  }

  #gauge(name: string, help: string, read: () => Iterable<Sample>): void {
    this.#families.push({ description: { name: `portcullis_${name}`, help }, type: 'gauge', read });
  }
}

function one(value: number): readonly Sample[] {
  return [{ labels: {}, value }];
}
