/** The report as tables: what the terminal and the documentation show. */
import { HANDSHAKE_ROUNDS, type HandshakeCost } from './handshakes.ts';
import { REFUSED } from './refusals.ts';
import { BUDGET, type Budgeted, type PeerReport, type Report } from './report.ts';
import type { Section } from './section.ts';
import type { Spread } from './spread.ts';
import { curveSection } from './steps/curves.ts';
import { WORKS, type Work } from './works.ts';

const TITLE: Readonly<Record<Work, string>> = {
  connections: 'mTLS connections, one round trip each (CPU ms per connection)',
  roundTrips: 'Round trips of 100 bytes over 16 connections (CPU ms per 1,000)',
  download: 'Bulk, server to client (CPU ms per GB)',
  upload: 'Bulk, client to server (CPU ms per GB)',
};
/** What stands where a peer cannot do something. */
const NONE = '–';
const RATE: Readonly<Record<Work, string>> = { connections: '/s', roundTrips: '/s', download: ' MB/s', upload: ' MB/s' };

/** Everything that was measured, in the order of the report. */
export function sectionsOf(report: Report): readonly Section[] {
  return [
    ...works(report),
    ...handshakes(report),
    ...refusals(report),
    ...scale(report),
    ...report.steps.map(curveSection),
    ...generator(report),
    ...budget(report),
  ];
}

function works(report: Report): readonly Section[] {
  const peers = Object.entries(report.peers);
  if (peers.length === 0) return [];
  const columns = ['', 'CPU ms', 'to HAProxy', 'rate', 'p50 / p99 / p99.9 ms', 'busy: balancer, load, servers'];
  const sectionOf = (work: Work) => ({
    id: work,
    title: TITLE[work],
    columns,
    rows: peers.map(([name, peer]) => workRow(name, work, peer)),
  });
  const [connections, ...others] = WORKS.map(sectionOf);
  return [
    ...(connections === undefined ? [] : [connections]),
    {
      id: 'connectionsWithoutResumption',
      title: 'The same connections where nobody resumes sessions (CPU ms per connection)',
      columns: ['', 'CPU ms', 'to HAProxy'],
      rows: peers.map(([name, { connectionsWithoutResumption: each }]) =>
        each === null ? [name, NONE, ''] : [name, spread(each.cpuMsPerUnit), ratio(each.ratioToHaproxy)],
      ),
    },
    ...others,
    {
      id: 'idleMemory',
      title: `Memory per idle connection (KB, PSS, ${report.settings.idle} held)`,
      columns: ['', 'KB', 'to HAProxy'],
      rows: peers.map(([name, { idleMemory }]) => [name, spread(idleMemory.kb), ratio(idleMemory.ratioToHaproxy)]),
    },
  ];
}

function workRow(name: string, work: Work, { works: each }: PeerReport): readonly string[] {
  const { cpuMsPerUnit, ratioToHaproxy, perSecond, latencyMs, busy } = each[work];
  const latency = latencyMs === null ? '' : [latencyMs.p50Ms, latencyMs.p99Ms, latencyMs.p999Ms].map((ms) => ms.toPrecision(3)).join(' / ');
  const shares = [busy.balancer, busy.load, busy.servers].map((share) => `${Math.round(share * 100)}%`).join(', ');
  return [name, spread(cpuMsPerUnit), ratio(ratioToHaproxy), `${Math.round(perSecond.median)}${RATE[work]}`, latency, shares];
}

function handshakes({ handshakes: costs }: Report): readonly Section[] {
  if (costs.length === 0) return [];
  const kinds = [...new Set(costs.map(({ tls, key, handshake }) => `${tls} ${key} ${handshake}`))];
  const names = [...new Set(costs.map(({ peer }) => peer))];
  const cell = (kind: string, name: string) => {
    const found = costs.find(({ tls, key, handshake, peer }) => peer === name && `${tls} ${key} ${handshake}` === kind);
    return found === undefined ? '' : handshakeCell(found);
  };
  const rows = kinds.map((kind) => [kind, ...names.map((name) => cell(kind, name))]);
  const title = `Handshakes, where everybody who can resumes sessions (CPU ms per connection, and the ratio to HAProxy, least to most over ${HANDSHAKE_ROUNDS} rounds)`;
  return [{ id: 'handshakes', title, columns: ['', ...names], rows }];
}

function handshakeCell({ peer, handshake, resumedShare, cpuMsPerConnection: cpuMs, ratioToHaproxy, reason }: HandshakeCost): string {
  if (cpuMs === null) return `${NONE} (${reason})`;
  const partly = handshake === 'resumed' && resumedShare < 1 ? ` (resumed ${Math.round(resumedShare * 100)}%)` : '';
  if (ratioToHaproxy === null) return `${spread(cpuMs)}${partly}`;
  const beside = peer === 'haproxy' ? '' : `, ${ratio(ratioToHaproxy)}`;
  return `${number(cpuMs.median)}${beside}${partly}`;
}

function refusals({ refusals: costs }: Report): readonly Section[] {
  return [...Map.groupBy(costs, ({ refused }) => refused)].map(([refused, each]) => ({
    id: refused,
    title: `Refused: ${REFUSED[refused]} (CPU ms per connection)`,
    columns: ['', 'CPU ms', 'to HAProxy', 'rate'],
    rows: each.map(({ peer, cpuMsPerConnection, ratioToHaproxy, perSecond }) => [
      peer,
      spread(cpuMsPerConnection),
      ratio(ratioToHaproxy),
      `${Math.round(perSecond.median)}/s`,
    ]),
  }));
}

function scale({ scale: points }: Report): readonly Section[] {
  if (points.length === 0) return [];
  const rows = points.map(({ of, size, figure, value }) => [size.toLocaleString('en'), of, String(value), figure]);
  return [{ id: 'scale', title: 'lbd at scale', columns: ['with', '', 'costs', ''], rows }];
}

/** What the load and the servers reach by themselves. */
function generator({ direct, peers }: Report): readonly Section[] {
  if (Object.keys(peers).length === 0) return [];
  const fastest = (work: Work) => Math.max(...Object.values(peers).map(({ works: each }) => each[work].perSecond.median));
  const rows = WORKS.map((work) => [work, `${direct[work]}${RATE[work]}`, `${Math.round(fastest(work))}${RATE[work]}`]);
  const title = 'The load generator and the servers without balancer and without TLS, beside the fastest balancer';
  return [{ id: 'generator', title, columns: ['', 'without', 'with'], rows }];
}

function budget({ ratiosToHaproxy, ratioWithoutResumption }: Report): readonly Section[] {
  const rows = (['connections', 'roundTrips', 'bulk', 'idleMemory'] as const).map((what: Budgeted) => {
    const value = ratiosToHaproxy[what];
    if (value === null) return [what, 'not measured', BUDGET[what].toFixed(2), ''];
    return [what, value.toFixed(2), BUDGET[what].toFixed(2), value <= BUDGET[what] ? 'met' : 'missed'];
  });
  const { connections } = ratioWithoutResumption;
  const likeWithLike = ['connections, nobody resumes sessions', connections?.toFixed(2) ?? 'not measured', '', ''];
  return [{ id: 'budget', title: 'lbd to HAProxy, and the budget', columns: ['', 'ratio', 'budget', ''], rows: [...rows, likeWithLike] }];
}

/** The median, and the least and the most. */
export function spread({ min, median, max }: Spread): string {
  return `${number(median)} (${number(min)} to ${number(max)})`;
}

/** Three digits, or a whole number. */
export function number(value: number): string {
  return value >= 1_000 ? Math.round(value).toLocaleString('en') : value.toPrecision(3);
}

function ratio(of: Spread | null): string {
  return of === null ? '' : `${of.median.toFixed(2)} (${of.min.toFixed(2)} to ${of.max.toFixed(2)})`;
}
