/** The daemon on a file system of its own, which is filled up, made read-only and put right again while it runs. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { status as Code } from '@grpc/grpc-js';
import { AddClientRequest, GetStateRequest, AdminServiceService as rpc } from '../../src/gen/lb/admin/v1/admin.ts';
import { ask, refused } from '../support/admin-server.ts';
import { createTestCa } from '../support/certificates.ts';
import { startDaemon } from '../support/daemon.ts';
import { adminOf, connectTo, roundTrip } from '../support/daemon-clients.ts';
import { echoServer } from '../support/echo-servers.ts';
import { temporaryFolder } from '../support/temp-dir.ts';

/** Root may mount in a mount namespace; others in one with a user namespace around it, where the kernel allows that. */
const NAMESPACE = process.geteuid?.() === 0 ? ['--mount'] : ['--mount', '--user', '--map-root-user'];
/** More than the changes that fit into a full file system by chance. */
const MOST_CHANGES = 1000;

/** A daemon whose state is in a small file system of its own; the test is skipped, and undefined returned, where none can be had. */
async function start(t: TestContext) {
  const folder = await temporaryFolder(t);
  const state = path.join(folder, 'state');
  await mkdir(state);
  const tools = spawnSync('sh', ['-c', `unshare ${NAMESPACE.join(' ')} mount -t tmpfs none '${state}' && command -v prlimit nsenter`]);
  if (tools.status !== 0) {
    t.skip(`no file system of its own can be mounted here: ${tools.stderr.toString().trim() || 'prlimit or nsenter is missing'}`);
    return undefined;
  }
  const [ca, echo] = await Promise.all([createTestCa(), echoServer(t)]);
  const clientA = await ca.issue({ cn: 'clientA' });
  const daemon = await startDaemon(t, {
    folder,
    ca,
    before: `exec unshare ${NAMESPACE.join(' ')} sh -c 'mount -t tmpfs -o size=1m none state && exec "$@"' sh "$@"`,
    config: {
      workers: 1,
      timeouts: { drainTimeout: '100ms' },
      store: { kind: 'sqlite', path: path.join(state, 'lbd.state.db') },
      targetGroups: [{ name: 'web', upstreamServers: [echo.address] }],
      clients: [{ clientId: 'clientA', allowedTargetGroup: 'web' }],
    },
  });
  const admin = adminOf(t, daemon);
  let changes = 0;
  const change = () =>
    ask(admin, rpc.addClient, AddClientRequest.fromPartial({ client: { clientId: `more-${++changes}`, allowedTargetGroups: ['web'] } }));
  const live = connectTo(t, daemon, clientA);
  await roundTrip(live, 'before');
  return {
    daemon,
    change,
    /** The folder of the state file, as the daemon sees it. */
    state: `/proc/${daemon.pid}/root${state}`,
    inside: (command: string) => {
      const entered = NAMESPACE.includes('--user') ? ['--mount', '--user', '--preserve-credentials'] : ['--mount'];
      execFileSync('nsenter', ['--target', `${daemon.pid}`, ...entered, 'sh', '-c', command], { stdio: ['ignore', 'ignore', 'inherit'] });
    },
    stateFolder: state,
    /** Bytes that a file of the daemon may grow to. */
    limitFiles: (bytes: number | 'unlimited') => execFileSync('prlimit', [`--pid=${daemon.pid}`, `--fsize=${bytes}:`]),
    /** Changes are refused, clearly, and everything else goes on. */
    async assertRefused(message: RegExp) {
      const { code, reason, message: said } = await refused(change());
      assert.deepEqual({ code, reason }, { code: Code.UNAVAILABLE, reason: 'STORE_UNAVAILABLE' });
      assert.match(said, message);
      await roundTrip(live, 'during');
      await roundTrip(connectTo(t, daemon, clientA), 'during');
      await ask(admin, rpc.getState, GetStateRequest.create());
    },
    /** Changes are accepted again, and those that were refused are not in the state. */
    async assertRecovered(accepted: number) {
      await change();
      const { clients } = await ask(admin, rpc.getState, GetStateRequest.create());
      assert.equal(clients.length, 1 + accepted + 1, 'clientA, those that were accepted, and one more now');
      await roundTrip(live, 'after');
      assert.deepEqual(await daemon.stop(), { code: 0, signal: null });
    },
  };
}

test('a full disk refuses changes while traffic goes on, and is forgotten when there is room', { timeout: 120_000 }, async (t) => {
  const disk = await start(t);
  if (disk === undefined) return;
  await disk.change();
  const ballast = path.join(disk.state, 'ballast');
  fill(ballast);
  // What is left of the last page may still take a change.
  let accepted = 1;
  const full = async (): Promise<void> => {
    while (accepted < MOST_CHANGES) {
      try {
        await disk.change();
        accepted++;
      } catch {
        return;
      }
    }
  };
  await full();
  await disk.assertRefused(/^there is no room left on the disk for the state file .+lbd\.state\.db: free some and try again$/);
  await disk.assertRefused(/^there is no room left/);
  rmSync(ballast);
  await disk.assertRecovered(accepted);
});

test('a disk that fails refuses changes while traffic goes on, and is forgotten when it works', { timeout: 120_000 }, async (t) => {
  const disk = await start(t);
  if (disk === undefined) return;
  await disk.change();
  disk.limitFiles(statSync(path.join(disk.state, 'lbd.state.db-wal')).size);
  await disk.assertRefused(/^reading or writing the state file .+lbd\.state\.db failed \(.+\): look at the disk, then try again$/);
  await disk.assertRefused(/look at the disk/);
  disk.limitFiles('unlimited');
  await disk.assertRecovered(1);
});

test('a read-only store refuses changes while traffic goes on, and is forgotten when it can be written', {
  timeout: 120_000,
}, async (t) => {
  const disk = await start(t);
  if (disk === undefined) return;
  await disk.change();
  // As Linux does it after an error: a write fails, and from then on the file system is read-only.
  disk.limitFiles(statSync(path.join(disk.state, 'lbd.state.db-wal')).size);
  disk.inside(`mount --bind '${disk.stateFolder}' '${disk.stateFolder}' && mount -o remount,bind,ro '${disk.stateFolder}'`);
  await assert.rejects(disk.change());
  disk.limitFiles('unlimited');
  await disk.assertRefused(/read-only/);
  await disk.assertRefused(/read-only/);
  disk.inside(`umount '${disk.stateFolder}'`);
  await disk.assertRecovered(1);
});

/** Writes until there is no room for another byte. */
function fill(file: string): void {
  const descriptor = openSync(file, 'w');
  try {
    for (const bytes of [65_536, 4096, 1]) writeAll(descriptor, Buffer.alloc(bytes));
  } finally {
    closeSync(descriptor);
  }
}

function writeAll(descriptor: number, chunk: Buffer): void {
  try {
    for (let written = 0; written < 16 * 1024 * 1024; written += chunk.length) writeSync(descriptor, chunk);
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
    return;
  }
  assert.fail('the file system has no end');
}
