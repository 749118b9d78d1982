import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { applyConfig, configWith } from '../support/apply-config.ts';
import { createTestCa } from '../support/certificates.ts';
import { startDaemon } from '../support/daemon.ts';
import { adminOf } from '../support/daemon-clients.ts';
import { freePortBlock } from '../support/port-block.ts';

const ca = await createTestCa();
const clientA = await ca.issue({ cn: 'clientA' });
/** In a row; STARTS=20 makes it a long run. */
const STARTS = Number(process.env['STARTS'] ?? 2);

interface Knocks {
  refused: number;
  /** A handshake was completed. */
  served: number;
  /** Somebody accepted the connection, and then there was no handshake: why. */
  readonly inVain: string[];
}

/** Knocks at the port again and again, until it has been served after `opened`. */
async function knockUntilServed(port: number, opened: Promise<unknown>): Promise<Knocks> {
  const knocks: Knocks = { refused: 0, served: 0, inVain: [] };
  let isOpened = false;
  const over = opened.finally(() => {
    isOpened = true;
  });
  for (let isLast = false; !isLast; ) {
    isLast = isOpened;
    const tcp = connectTcp(port, '127.0.0.1');
    try {
      await once(tcp, 'connect');
      const tls = connectTls({ socket: tcp, ca: ca.caPem, servername: 'localhost', cert: clientA.certPem, key: clientA.keyPem });
      await once(tls, 'secureConnect');
      knocks.served++;
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED') knocks.refused++;
      else knocks.inVain.push(String(error));
    } finally {
      tcp.destroy();
    }
  }
  await over;
  return knocks;
}

function listener(name: string, port: number) {
  return { name, address: `127.0.0.1:${port}` };
}

// None of the ports that the system hands out: whoever knocks at such a one is given it for the own end at some time, and meets itself.
const mainPort = await freePortBlock(2);
const secondPort = mainPort + 1;
const config = { listenAddress: undefined, listeners: [listener('main', mainPort)], workers: 2 };

test(`in ${STARTS} starts, who comes is refused until a worker serves`, async (t) => {
  for (let round = 0; round < STARTS; round++) {
    const starting = startDaemon(t, { ca, config });
    const { refused, served, inVain } = await knockUntilServed(mainPort, starting);
    assert.deepEqual(inVain, [], `start ${round}: ${refused} refused, ${served} served`);
    assert.ok(refused > 0 && served > 0);
    await (await starting).stop();
  }
});

test('who comes to a listener that is being added is refused or served', async (t) => {
  const daemon = await startDaemon(t, { ca, config });
  const admin = adminOf(t, daemon);
  const added = applyConfig(admin, configWith(daemon, { listeners: [...config.listeners, listener('second', secondPort)] }));
  const { refused, served, inVain } = await knockUntilServed(secondPort, added);
  assert.deepEqual(inVain, [], `${refused} refused, ${served} served`);
  assert.ok(served > 0);
});
