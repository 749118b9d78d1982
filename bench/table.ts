/** The report for people. */
import { BUDGET, type Budgeted, type PeerReport, type Report } from './report.ts';
import type { Spread } from './spread.ts';
import { WORKS, type Work } from './works.ts';

const TITLE: Readonly<Record<Work, string>> = {
  connections: 'mTLS connections, one round trip each (CPU ms per connection)',
  roundTrips: 'round trips of 100 bytes over 16 connections (CPU ms per 1,000)',
  download: 'bulk, server to client (CPU ms per GB)',
  upload: 'bulk, client to server (CPU ms per GB)',
};
const RATE: Readonly<Record<Work, string>> = { connections: '/s', roundTrips: '/s', download: ' MB/s', upload: ' MB/s' };
/** Above this share of a processor somebody is as busy as he can be. */
const BUSY = 0.9;

/** The whole report as text. */
export function table(report: Report): string {
  const peers = Object.entries(report.peers);
  return [
    ...heading(report),
    ...WORKS.flatMap((work) => [
      '',
      TITLE[work],
      ...rows(
        peers.map(([name, peer]) => workRow(name, work, peer)),
        WORK_COLUMNS,
      ),
    ]),
    '',
    `memory per idle connection (KB, PSS, ${report.settings.idle} held)`,
    ...rows(
      peers.map(([name, { idleMemory }]) => [name, spread(idleMemory.kb), ratio(idleMemory.ratioToHaproxy)]),
      ['', 'KB', 'to HAProxy'],
    ),
    ...handshakes(report),
    ...scale(report),
    ...check(report),
    ...verdict(report),
    ...report.warnings.map((warning) => `warning: ${warning}`),
  ].join('\n');
}

function heading({ machine, settings, rounds, versions, notFound, seconds }: Report): readonly string[] {
  const pinned =
    machine.pinned === null
      ? 'not pinned'
      : `balancers on processor ${machine.pinned.balancer}, load and servers on ${machine.pinned.load}`;
  return [
    `${machine.cpu}, ${machine.processors} processors, Linux ${machine.kernel}, load average ${machine.loadAverage} at the start; ${pinned}`,
    `${settings.tls}, ${settings.key}, ${settings.handshake} handshakes; ${rounds.completed} of ${rounds.planned} rounds, ${rounds.memory} of memory; ${Math.round(seconds)} s`,
    ...Object.entries(versions).map(([name, version]) => `  ${name}: ${version}`),
    ...(notFound.length === 0 ? [] : [`  not on this machine: ${notFound.join(', ')}`]),
    'figures are: median (least to most) over the rounds; CPU is that of the balancer alone',
  ];
}

const WORK_COLUMNS = ['', 'CPU ms', 'to HAProxy', 'rate', 'p50 / p99 / p99.9 ms', 'busy: balancer, load, servers'];

function workRow(name: string, work: Work, { works }: PeerReport): readonly string[] {
  const { cpuMsPerUnit, ratioToHaproxy, perSecond, latencyMs, busy } = works[work];
  const latency = latencyMs === null ? '' : [latencyMs.p50Ms, latencyMs.p99Ms, latencyMs.p999Ms].map((ms) => ms.toPrecision(3)).join(' / ');
  const shares = [busy.balancer, busy.load, busy.servers].map((share) => `${Math.round(share * 100)}%`).join(', ');
  return [name, spread(cpuMsPerUnit), ratio(ratioToHaproxy), `${Math.round(perSecond.median)}${RATE[work]}`, latency, shares];
}

function handshakes({ handshakes: costs }: Report): readonly string[] {
  if (costs.length === 0) return [];
  const kinds = [...new Set(costs.map(({ tls, key, handshake }) => `${tls} ${key} ${handshake}`))];
  const names = [...new Set(costs.map(({ peer }) => peer))];
  const cell = (kind: string, name: string) => {
    const found = costs.find(({ tls, key, handshake, peer }) => peer === name && `${tls} ${key} ${handshake}` === kind);
    if (found === undefined) return '';
    const refused = found.handshake === 'resumed' && found.resumedShare < 1 ? ` (resumed ${Math.round(found.resumedShare * 100)}%)` : '';
    return `${found.cpuMsPerConnection.toPrecision(3)}${refused}`;
  };
  return [
    '',
    'handshakes (CPU ms per connection)',
    ...rows(
      kinds.map((kind) => [kind, ...names.map((name) => cell(kind, name))]),
      ['', ...names],
    ),
  ];
}

function scale({ scale: points }: Report): readonly string[] {
  if (points.length === 0) return [];
  return [
    '',
    'lbd at scale',
    ...rows(
      points.map(({ of, size, figure, value }) => [of, size.toLocaleString('en'), figure, String(value)]),
      ['', '', '', ''],
    ),
  ];
}

/** Whether the load generator was fast enough for the rates to be the balancer's. */
function check({ direct, peers }: Report): readonly string[] {
  const rates = WORKS.map((work) => `${work} ${direct[work]}${RATE[work]}`);
  const held = Object.entries(peers).flatMap(([name, { works }]) =>
    WORKS.filter((work) => works[work].busy.load >= BUSY && works[work].busy.balancer < BUSY).map((work) => `${name} ${work}`),
  );
  return [
    '',
    'the load generator: a process of its own, not counted in any CPU figure; a rate is the balancer\'s where "busy" says that it had no more to give',
    `  without balancer and TLS: ${rates.join(', ')}`,
    held.length === 0
      ? '  nowhere was it at its limit while its balancer was not; where neither was, the rest of the machine held both up'
      : `  rates bound by the load generator (they are at least that): ${held.join('; ')}`,
  ];
}

function verdict({ ratiosToHaproxy }: Report): readonly string[] {
  const line = (what: Budgeted) => {
    const value = ratiosToHaproxy[what];
    if (value === null) return `  ${what.padEnd(12)} not measured`;
    return `  ${what.padEnd(12)} ${value.toFixed(2)} of ${BUDGET[what].toFixed(2)}  ${value <= BUDGET[what] ? 'met' : 'missed'}`;
  };
  return ['', 'lbd to HAProxy, and the budget', ...(['connections', 'roundTrips', 'bulk', 'idleMemory'] as const).map(line)];
}

function spread({ min, median, max }: Spread): string {
  return `${number(median)} (${number(min)} to ${number(max)})`;
}

function number(value: number): string {
  return value >= 1_000 ? String(Math.round(value)) : value.toPrecision(3);
}

function ratio(of: Spread | null): string {
  return of === null ? '' : `${of.median.toFixed(2)} (${of.min.toFixed(2)} to ${of.max.toFixed(2)})`;
}

function rows(cells: readonly (readonly string[])[], columns: readonly string[]): readonly string[] {
  const all = columns.every((column) => column === '') ? cells : [columns, ...cells];
  const widths = columns.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all.map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd());
}
