/** The benchmark in its smallest form: what it prints, and that nothing of it stays. No figure is judged: they mean nothing here. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../support/temp-dir.ts';

const MAIN = path.join(import.meta.dirname, '../../bench/main.ts');

test('one object with the figures of every peer is all that it prints, and everything that it started has ended', async (t) => {
  const folder = await temporaryFolder(t);
  const bench = start(folder, ['--smallest', '--peers', 'lbd,node-pipe', '--output', 'json']);
  const [code] = await once(bench.process, 'close');
  assert.equal(code, 0, bench.said.err);
  const report = JSON.parse(bench.said.out);
  assert.deepEqual(report.ratiosToHaproxy, { connections: null, roundTrips: null, bulk: null, idleMemory: null });
  assert.deepEqual(report.ratioWithoutResumption, { connections: null });
  assert.deepEqual(Object.keys(report.peers), ['lbd', 'node-pipe']);
  assert.deepEqual(Object.keys(report.versions), ['lbd', 'node-pipe']);
  assert.equal(report.rounds.completed, 1);
  assert.ok(report.machine.processors > 0);
  for (const { works, connectionsWithoutResumption, idleMemory } of Object.values<typeof report.peers.lbd>(report.peers)) {
    for (const work of ['connections', 'roundTrips', 'download', 'upload']) {
      const { cpuMsPerUnit, perSecond, ratioToHaproxy } = works[work];
      assert.ok(cpuMsPerUnit.min > 0 && cpuMsPerUnit.min <= cpuMsPerUnit.median && cpuMsPerUnit.median <= cpuMsPerUnit.max, work);
      assert.ok(perSecond.median > 0, work);
      assert.equal(ratioToHaproxy, null);
    }
    assert.ok(connectionsWithoutResumption.cpuMsPerUnit.min > 0);
    assert.equal(works.connections.negotiated, 'TLSv1.3 TLS_AES_128_GCM_SHA256 X25519');
    assert.ok(Number.isFinite(idleMemory.kb.median));
  }
  const kinds = report.handshakes.map(({ peer, tls, key, handshake }: Record<string, string>) => [peer, tls, key, handshake].join(' '));
  assert.equal(new Set(kinds).size, 16, 'two peers, two versions, two keys, full and resumed');
  for (const { peer, handshake, cpuMsPerConnection, ratioToHaproxy, resumedShare, reason } of report.handshakes) {
    assert.ok(cpuMsPerConnection.min > 0 && cpuMsPerConnection.min <= cpuMsPerConnection.median, peer);
    assert.deepEqual([ratioToHaproxy, resumedShare, reason], [null, handshake === 'resumed' ? 1 : 0, null], peer);
  }
  const refusals = report.refusals.map(({ peer, refused }: Record<string, string>) => `${peer} ${refused}`);
  assert.deepEqual(refusals, ['lbd strangers', 'lbd addresses', 'lbd noise', 'node-pipe noise']);
  assertNothingLeft(bench.mark, folder);
});

test('an interrupted benchmark ends what it started, removes its folder and says so', async (t) => {
  const folder = await temporaryFolder(t);
  const bench = start(folder, ['--smallest', '--peers', 'lbd,node-pipe']);
  while (!bench.said.err.includes('rounds')) await once(bench.process.stderr ?? assert.fail(), 'data');
  assert.ok(marked(bench.mark).length >= 3, 'servers and load are there beside the benchmark');
  bench.process.kill('SIGINT');
  const [code] = await once(bench.process, 'close');
  assert.equal(code, 1);
  assert.match(bench.said.err, /ended by SIGINT/);
  assert.equal(bench.said.out, '');
  assertNothingLeft(bench.mark, folder);
});

test('figures that nobody takes are an error', async (t) => {
  const folder = await temporaryFolder(t);
  const bench = start(folder, ['--smallest', '--parts', 'rounds', '--peers', 'lbd', '--output', 'json']);
  bench.process.stdout?.destroy();
  const [code] = await once(bench.process, 'close');
  assert.equal(code, 1);
  assert.match(bench.said.err, /bench: write EPIPE/);
  assertNothingLeft(bench.mark, folder);
});

for (const [what, args, message] of [
  ['a folder that cannot be made', ['--output', 'svg', '/proc/nope/plots'], /bench: ENOENT.*'\/proc\/nope'/],
  ['a file in place of the folder', ['--output', 'svg', MAIN], /bench: .*main\.ts is no folder/],
  ['documentation of little', ['--smallest', '--output', 'docs'], /leave --smallest out/],
  ['documentation of some balancers', ['--peers', 'lbd', '--output', 'docs'], /leave --peers out/],
] as const) {
  test(`${what} is refused before anything is measured`, async (t) => {
    const folder = await temporaryFolder(t);
    const bench = start(folder, args);
    const [code] = await once(bench.process, 'close');
    assert.equal(code, 1);
    assert.match(bench.said.err, message);
    assert.doesNotMatch(bench.said.err, /rounds/);
  });
}

interface Bench {
  readonly process: ChildProcess;
  readonly said: { out: string; err: string };
  /** In the environment of everything that it starts. */
  readonly mark: string;
}

function start(folder: string, args: readonly string[]): Bench {
  const mark = randomUUID();
  const bench = spawn(process.execPath, [MAIN, ...args], {
    env: { ...process.env, TMPDIR: folder, BENCHMARK_MARK: mark },
    timeout: 280_000,
  });
  const said = { out: '', err: '' };
  bench.stdout.setEncoding('utf8').on('data', (text: string) => {
    said.out += text;
  });
  bench.stderr.setEncoding('utf8').on('data', (text: string) => {
    said.err += text;
  });
  return { process: bench, said, mark };
}

function assertNothingLeft(mark: string, folder: string): void {
  assert.deepEqual(marked(mark), []);
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.startsWith('portcullis-bench-')),
    [],
  );
}

/** Command lines of the processes with the mark in their environment. */
function marked(mark: string): readonly string[] {
  return readdirSync('/proc').flatMap((pid) => {
    try {
      const found = /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/environ`, 'utf8').includes(mark);
      return found ? [readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')] : [];
    } catch {
      // Another's, or it has ended.
      return [];
    }
  });
}
