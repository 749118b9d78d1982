import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { QUICK } from '../../../bench/amounts.ts';
import { FIGURE_PAGES, fillInFigures, IMAGES, keptReport, keptWith } from '../../../bench/figures.ts';
import type { HandshakeCost } from '../../../bench/handshakes.ts';
import { plotsOf } from '../../../bench/plots/write.ts';
import { type Report, reportOf } from '../../../bench/report.ts';
import { sectionsOf } from '../../../bench/sections.ts';
import { curveSection } from '../../../bench/steps/curves.ts';
import { boundByLoad } from '../../../bench/table.ts';
import type { Sample, Work } from '../../../bench/works.ts';

const ROOT = path.join(import.meta.dirname, '../../..');

function kept(): Report {
  return keptReport() ?? assert.fail('docs/performance.json is there');
}

for (const page of FIGURE_PAGES) {
  test(`the figures of ${page} are those of the report that is kept, in the form that the benchmark writes`, () => {
    const text = readFileSync(path.join(ROOT, page), 'utf8');
    assert.match(text, /<!-- from the benchmark: /);
    assert.equal(fillInFigures(text, kept()), text, `${page} is out of date: run node bench/figures.ts`);
  });
}

test('docs/performance.md shows every table that the benchmark makes', () => {
  const text = readFileSync(path.join(ROOT, 'docs/performance.md'), 'utf8');
  for (const { id } of sectionsOf(kept())) assert.ok(text.includes(`<!-- from the benchmark: ${id} -->`), id);
});

test('the plots are those of the report that is kept, and all that it can make', () => {
  const plots = plotsOf(kept());
  assert.deepEqual([...plots.keys()], ['ratios.svg', 'scale.svg', 'steps.svg']);
  for (const [name, text] of plots)
    assert.equal(readFileSync(path.join(IMAGES, name), 'utf8'), text, `${name} is out of date: run node bench/figures.ts`);
});

test('a page that wants a table which there is not is told which there are', () => {
  const page = '<!-- from the benchmark: nonsense -->\n<!-- end -->';
  assert.throws(() => fillInFigures(page, reportWith({})), /a page wants "nonsense".*it has in short, the run, connections, /);
});

test('a ratio is to HAProxy in the same round, and bulk is both directions together', () => {
  const { ratiosToHaproxy, peers } = reportWith({
    lbd: { connections: [2, 9, 4], download: [10, 10, 10], upload: [30, 30, 30] },
    haproxy: { connections: [1, 3, 4], download: [10, 10, 10], upload: [10, 10, 10] },
  });
  assert.deepEqual(peers['lbd']?.works.connections.ratioToHaproxy, { min: 1, median: 2, max: 3 });
  assert.equal(ratiosToHaproxy.connections, 2);
  assert.equal(ratiosToHaproxy.bulk, 2);
});

test('connections where nobody resumes sessions have a ratio of their own, beside that of balancers as they come', () => {
  const costs = { lbd: { connections: [2] }, haproxy: { connections: [4] }, envoy: {} };
  const report = reportWith(costs, undefined, { lbd: [3, 2, 6], haproxy: [2, 2, 2] });
  assert.equal(report.ratiosToHaproxy.connections, 0.5);
  assert.deepEqual(report.ratioWithoutResumption, { connections: 1.5 });
  const section = sectionsOf(report).find(({ id }) => id === 'connectionsWithoutResumption');
  assert.deepEqual(section?.rows, [
    ['lbd', '3.00 (2.00 to 6.00)', '1.50 (1.00 to 3.00)'],
    ['haproxy', '2.00 (2.00 to 2.00)', '1.00 (1.00 to 1.00)'],
    ['envoy', '–', ''],
  ]);
  const short = fillInFigures('<!-- from the benchmark: in short -->\n<!-- end -->', report);
  assert.match(short, /\| the same where nobody resumes sessions \| 3\.00 ms \| 2\.00 ms \| not measured \| 1\.50 \(1\.00–3\.00\) \|/);
});

test('a kind of handshake is a row: CPU time and its ratio, what was resumed in part, and why a balancer does none', () => {
  const spread = (median: number) => ({ min: median / 2, median, max: median * 2 });
  const of = (peer: string, rest: Partial<HandshakeCost>): HandshakeCost => ({
    peer,
    tls: 'TLSv1.3',
    key: 'P-256',
    handshake: 'resumed',
    resumedShare: 1,
    cpuMsPerConnection: spread(2),
    ratioToHaproxy: spread(1),
    reason: null,
    ...rest,
  });
  const none = { cpuMsPerConnection: null, ratioToHaproxy: null };
  const handshakes = [
    of('lbd', { ratioToHaproxy: spread(1.5) }),
    of('haproxy', {}),
    of('nginx', { resumedShare: 0.5 }),
    of('ghostunnel', { ...none, reason: 'resumes none' }),
  ];
  const section = sectionsOf({ ...reportWith({}), handshakes }).find(({ id }) => id === 'handshakes');
  assert.deepEqual(section?.columns, ['', 'lbd', 'haproxy', 'nginx', 'ghostunnel']);
  assert.deepEqual(section?.rows, [
    ['TLSv1.3 P-256 resumed', '2.00, 1.50 (0.75 to 3.00)', '2.00', '2.00, 1.00 (0.50 to 2.00) (resumed 50%)', '– (resumes none)'],
  ]);
  const alone = sectionsOf({ ...reportWith({}), handshakes: [of('lbd', { ratioToHaproxy: null })] });
  assert.deepEqual(alone.find(({ id }) => id === 'handshakes')?.rows, [['TLSv1.3 P-256 resumed', '2.00 (1.00 to 4.00)']]);
});

test('a version stands beside the name of a balancer, and not that of its library', () => {
  const report = {
    ...reportWith({ ghostunnel: {}, nginx: {} }),
    versions: { ghostunnel: 'master, Go 1.26.8', nginx: '1.22.1, OpenSSL 3.0' },
  };
  const short = fillInFigures('<!-- from the benchmark: in short -->\n<!-- end -->', report);
  assert.match(short, /\| what it costs \| ghostunnel \| nginx 1\.22 \| lbd to HAProxy \|/);
});

test('a part that was measured takes the place of what was kept, and the others stay', () => {
  const before = reportWith({ lbd: { connections: [2] }, haproxy: { connections: [1] } });
  const scale = [{ of: 'servers', size: 10, figure: 'CPU', value: 1 }] as const;
  const fresh = { ...reportWith({}), rounds: { planned: 0, completed: 0, memory: 0 }, scale };
  const both = keptWith({ ...before, scale: [], notFound: ['ghostunnel'] }, fresh);
  assert.deepEqual(both.peers, before.peers);
  assert.deepEqual(Object.keys(both.versions), ['lbd', 'haproxy']);
  assert.deepEqual(both.notFound, ['ghostunnel']);
  assert.deepEqual(both.rounds, before.rounds);
  assert.equal(both.ratiosToHaproxy.connections, 2);
  assert.deepEqual(both.scale, scale);
  assert.deepEqual(keptWith(both, { ...fresh, scale: [] }).scale, scale);
});

test('load and servers on one processor hold a rate up together', () => {
  const pinned = { balancer: '0', load: '1' };
  const machine = { ...reportWith({}).machine, processors: 2, pinned };
  const busy = (balancer: number) => ({ ...reportWith({ lbd: { connections: [1] } }, { balancer, load: 0.5, servers: 0.45 }), machine });
  assert.deepEqual(boundByLoad(busy(0.5)), ['lbd connections', 'lbd roundTrips', 'lbd download', 'lbd upload']);
  assert.deepEqual(boundByLoad(busy(0.95)), []);
});

test('a step that costs more than twice as much at the last size stands out', () => {
  const costs = (...all: readonly number[]) => all.map((nanoseconds) => ({ nanoseconds, bytes: 1_234 }));
  const { columns, rows } = curveSection({
    id: 'x',
    title: 'x',
    of: 'clients',
    curves: [
      { step: 'flat', costs: costs(100, 110, 150, 200) },
      { step: 'steep', costs: costs(100, 110, 150, 2010) },
    ],
  });
  assert.deepEqual(columns, [
    'ns a step',
    '10 clients',
    '100 clients',
    '1,000 clients',
    '10,000 clients',
    'last : first',
    'bytes allocated',
  ]);
  assert.deepEqual(rows, [
    ['flat', '100', '110', '150', '200', '2.00', '1,234'],
    ['**steep**', '**100**', '**110**', '**150**', '**2,010**', '**20.10 not flat**', '1,234'],
  ]);
});

/** CPU milliseconds by peer and work, a number a round, works that are not given cost 1; and of connections where nobody resumes sessions. */
function reportWith(
  costs: Readonly<Record<string, Partial<Record<Work, readonly number[]>>>>,
  busy: Sample['busy'] = { balancer: 1, load: 0, servers: 0 },
  unresuming: Readonly<Record<string, readonly number[]>> = {},
): Report {
  const sample = (cpuMsPerUnit: number): Sample => ({ cpuMsPerUnit, perSecond: 1, latency: undefined, busy, negotiated: '', resumed: 0 });
  const works = (of: Partial<Record<Work, readonly number[]>>) => {
    const all = (work: Work) => (of[work] ?? (of.connections ?? [1]).map(() => 1)).map(sample);
    return { connections: all('connections'), roundTrips: all('roundTrips'), download: all('download'), upload: all('upload') };
  };
  const peers = Object.keys(costs).length === 0 ? { lbd: {} } : costs;
  const names = Object.keys(peers);
  return reportOf({
    amounts: QUICK,
    rounds: {
      completed: 1,
      portion: { connections: 1, roundTrips: 1, megabytes: 1 },
      samples: new Map(names.map((name) => [name, works(peers[name] ?? {})])),
      unresumingMs: new Map(Object.entries(unresuming)),
      idleKb: new Map(names.map((name) => [name, [1]])),
    },
    machine: { cpu: 'a processor', processors: 4, memoryGb: 1, kernel: '1.2.3-4', loadAverage: 0, pinned: null },
    versions: Object.fromEntries(names.map((name) => [name, '1.2'])),
    notFound: [],
    direct: { connections: 1, roundTrips: 1, download: 1, upload: 1 },
    handshakes: [],
    refusals: [],
    scale: [],
    steps: [],
    warnings: [],
    seconds: 1,
  });
}
