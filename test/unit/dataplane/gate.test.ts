import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import { AddressGate, Gate } from '../../../src/dataplane/gate.ts';
import type { TurnedAway } from '../../../src/dataplane/turned-away.ts';
import { addressBits } from '../../../src/domain/cidr.ts';
import { askOnlyWhile } from '../../../src/shared/hidden-node.ts';
import { AddressTable, createAddressMemory } from '../../../src/shared/memory/address-table.ts';
import { sampleListener } from '../../support/sample-state.ts';

describe('the gate', () => {
  it('disconnects whom it is closed to before a socket is made of the connection', async (t) => {
    const asked: string[] = [];
    const gate = new Gate((address) => {
      asked.push(address);
      return address === '127.0.0.2';
    });
    const server = createServer({ blockList: gate }).listen(0, '127.0.0.1');
    t.after(() => server.close());
    await once(server, 'listening');
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    const accepted: (string | undefined)[] = [];
    server.on('connection', (socket) => {
      accepted.push(socket.remoteAddress);
      socket.destroy();
    });
    for (const localAddress of ['127.0.0.2', '127.0.0.3']) {
      const socket = connect({ port: address.port, host: '127.0.0.1', localAddress });
      socket.on('error', () => undefined).resume();
      await new Promise((resolve) => socket.once('close', resolve));
    }
    assert.deepEqual([asked, accepted], [['127.0.0.2', '127.0.0.3'], ['127.0.0.3']]);
  });

  it('is asked only while it is needed', async (t) => {
    let isNeeded = false;
    let asked = 0;
    const gate = new Gate(() => {
      asked++;
      return false;
    });
    const server = createServer({ blockList: gate }).listen(0, '127.0.0.1');
    t.after(() => server.close());
    askOnlyWhile(() => isNeeded, gate, server);
    await once(server, 'listening');
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    for (const needed of [false, true, false]) {
      isNeeded = needed;
      const accepted = once(server, 'connection');
      const socket = connect(address.port, '127.0.0.1').on('error', () => undefined);
      const [arrived]: Socket[] = await accepted;
      arrived?.destroy();
      socket.destroy();
      assert.equal(asked, needed ? 1 : 0);
      asked = 0;
    }
  });
});

describe('the gate of an address', () => {
  const open = { connectionsPerSecond: undefined, burst: 1, pendingHandshakes: undefined, concurrentConnections: undefined };
  const listener = sampleListener('main', { perAddress: { ...open, concurrentConnections: 1 }, acceptProxyProtocol: ['10.0.0.0/8'] });

  function gateWith(tarpit: { isFull: boolean }) {
    const addresses = new AddressTable(createAddressMemory(1), 0);
    const told: TurnedAway[] = [];
    const listenerNamed = (name: string) => (name === 'main' ? listener : undefined);
    return { addresses, told, gate: new AddressGate({ addresses, tarpit, nowMs: () => 0, listenerNamed, tell: (who) => told.push(who) }) };
  }

  const enter = (addresses: AddressTable, address: string) => {
    const bits = addressBits(address);
    assert.ok(bits !== undefined && listener.perAddress !== undefined);
    addresses.enter('main', bits, listener.perAddress, 0);
  };

  it('is closed to who is over its bounds, once nobody can be held any more, and says so', () => {
    const tarpit = { isFull: false };
    const { addresses, told, gate } = gateWith(tarpit);
    enter(addresses, '192.0.2.1');
    assert.ok(!gate.isClosedTo('192.0.2.1', 'main'), 'it is held');
    tarpit.isFull = true;
    assert.ok(gate.isClosedTo('192.0.2.1', 'main'));
    assert.ok(gate.isClosedTo('::ffff:192.0.2.1', 'main'), 'as a dual-stack port sees it');
    assert.ok(!gate.isClosedTo('192.0.2.2', 'main'));
    assert.ok(!gate.isClosedTo('192.0.2.1', 'another'));
    const detailed = told.map(({ detail, ...rest }) => ({ ...rest, detail: detail() }));
    const who = { reason: 'address_limited', listener: 'main', detail: '192.0.2.1 is over perAddress.concurrentConnections: 1' };
    assert.deepEqual(detailed, [
      { ...who, remote: '192.0.2.1' },
      { ...who, remote: '::ffff:192.0.2.1' },
    ]);
  });

  it('lets proxies in, whose connections are those of others', () => {
    const { addresses, told, gate } = gateWith({ isFull: true });
    enter(addresses, '10.1.1.1');
    assert.ok(!gate.isClosedTo('10.1.1.1', 'main'));
    assert.deepEqual(told, []);
  });
});
