import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { AddressGate } from '../../../src/dataplane/gate.ts';
import { Tarpit } from '../../../src/dataplane/tarpit.ts';
import type { TurnedAway } from '../../../src/dataplane/turned-away.ts';
import { addressBits } from '../../../src/domain/cidr.ts';
import { type Arrival, meetFirst } from '../../../src/shared/hidden-node.ts';
import { AddressTable, createAddressMemory } from '../../../src/shared/memory/address-table.ts';
import { sampleListener } from '../../support/sample-state.ts';

/** A server that says whom it hears of and ends them, and a client from an address of one's own with the way it ends. */
async function listening(t: TestContext, server: Server = createServer()) {
  const heard: (string | undefined)[] = [];
  server.on('connection', (socket) => {
    heard.push(socket.remoteAddress);
    socket.end();
  });
  server.listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  const come = (localAddress: string) => {
    const socket = connect({ port: address.port, host: '127.0.0.1', localAddress }).resume();
    t.after(() => socket.destroy());
    const ended = new Promise<string | undefined>((resolve) => {
      socket.once('end', () => resolve('end')).once('error', ({ code }: NodeJS.ErrnoException) => resolve(code));
    });
    return { socket, ended };
  };
  return { server, heard, come };
}

describe('who is met before there is a socket', () => {
  it('is not heard of by the server when taken, and is held until the reset', async (t) => {
    const { server, heard, come } = await listening(t);
    const met = Promise.withResolvers<Arrival>();
    const asked: (string | undefined)[] = [];
    meetFirst(server, (arrival) => {
      const host = arrival.peer()?.host;
      asked.push(host);
      if (host !== '127.0.0.2') return false;
      met.resolve(arrival);
      return true;
    });
    const taken = come('127.0.0.2');
    const arrival = await met.promise;
    assert.equal(await come('127.0.0.3').ended, 'end', 'who is not taken is served');
    assert.deepEqual([asked, heard], [['127.0.0.2', '127.0.0.3'], ['127.0.0.3']]);
    taken.socket.write('not read by anybody');
    arrival.reset();
    assert.equal(await taken.ended, 'ECONNRESET');
  });

  it('may have left meanwhile', async (t) => {
    const { server, come } = await listening(t);
    const met = Promise.withResolvers<Arrival>();
    meetFirst(server, (arrival) => {
      met.resolve(arrival);
      return true;
    });
    const { socket } = come('127.0.0.2');
    const arrival = await met.promise;
    socket.resetAndDestroy();
    await once(socket, 'close');
    assert.equal(arrival.peer(), undefined);
    arrival.reset();
    arrival.reset();
  });

  it('gets a socket as everybody does where Node.js has nothing to ask by', async (t) => {
    const taken = () => assert.fail('nobody can be met');
    const server = createServer();
    meetFirst(server, taken);
    const { heard, come } = await listening(t, server);
    const handle: unknown = Reflect.get(server, '_handle');
    assert.ok(typeof handle === 'object' && handle !== null);
    const own: unknown = Reflect.get(handle, 'onconnection');
    Reflect.set(handle, 'onconnection', undefined);
    meetFirst(server, taken);
    Reflect.set(handle, 'onconnection', own);
    assert.equal(await come('127.0.0.2').ended, 'end');
    assert.deepEqual(heard, ['127.0.0.2']);
  });
});

describe('the gate of an address', () => {
  const open = { connectionsPerSecond: undefined, burst: 1, pendingHandshakes: undefined, concurrentConnections: undefined };
  const listener = sampleListener('main', { perAddress: { ...open, concurrentConnections: 1 }, acceptProxyProtocol: ['10.0.0.0/8'] });

  function gateWith({ held, most }: { readonly held: number; readonly most: number }) {
    const addresses = new AddressTable(createAddressMemory(1), 0);
    const told: TurnedAway[] = [];
    const listenerNamed = (name: string) => (name === 'main' ? listener : undefined);
    const tarpit = new Tarpit({ nowMs: () => 0, most, onHeld: () => undefined });
    for (let count = 0; count < held; count++) tarpit.hold({ reset: () => undefined });
    const gate = new AddressGate({ addresses, tarpit, nowMs: () => 0, listenerNamed, tell: (who) => told.push(who) });
    const come = (host: string | undefined, name = 'main') => {
      let resets = 0;
      const arrival = { peer: () => (host === undefined ? undefined : { host, port: 4711 }), reset: () => void resets++ };
      const before = tarpit.size;
      if (!gate.refuses(arrival, name)) return 'let in';
      if (tarpit.size > before) return 'held';
      return resets === 1 ? 'reset' : assert.fail('neither held nor reset');
    };
    return { addresses, told, come, tarpit };
  }

  const enter = (addresses: AddressTable, address: string) => {
    const bits = addressBits(address);
    assert.ok(bits !== undefined && listener.perAddress !== undefined);
    addresses.enter('main', bits, listener.perAddress, 0);
  };

  it('refuses who is over its bounds while others are in the tarpit, holds them while there is room, and says so', (t) => {
    const { addresses, told, come, tarpit } = gateWith({ held: 1, most: 2 });
    t.after(() => tarpit.close());
    enter(addresses, '192.0.2.1');
    assert.equal(come('192.0.2.1'), 'held');
    assert.equal(come('::ffff:192.0.2.1'), 'reset', 'as a dual-stack port sees it');
    assert.equal(come('192.0.2.2'), 'let in', 'within its bounds');
    assert.equal(come('192.0.2.1', 'another'), 'let in');
    assert.equal(come(undefined), 'let in', 'who has left is seen to have by its socket');
    const detailed = told.map(({ detail, ...rest }) => ({ ...rest, detail: detail() }));
    const who = { reason: 'address_limited', listener: 'main', detail: '192.0.2.1 is over perAddress.concurrentConnections: 1' };
    assert.deepEqual(detailed, [
      { ...who, remote: '192.0.2.1:4711' },
      { ...who, remote: '[::ffff:192.0.2.1]:4711' },
    ]);
  });

  it('asks nobody where they come from while the tarpit is empty', () => {
    const { addresses, told, come } = gateWith({ held: 0, most: 2 });
    enter(addresses, '192.0.2.1');
    assert.equal(come('192.0.2.1'), 'let in', 'and is refused with a socket, which goes into the tarpit');
    assert.deepEqual(told, []);
  });

  it('lets proxies in, whose connections are those of others', (t) => {
    const { addresses, told, come, tarpit } = gateWith({ held: 2, most: 2 });
    t.after(() => tarpit.close());
    enter(addresses, '10.1.1.1');
    assert.equal(come('10.1.1.1'), 'let in');
    assert.deepEqual(told, []);
  });
});
