import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { decodeCommand, decodeSnapshot, encodeCommand, encodeSnapshot } from '../../../src/controlplane/store/codec.ts';
import { DecodeError } from '../../../src/controlplane/store/decode.ts';
import { DEFAULT_GROUP, DEFAULT_HEALTH_CHECK, DEFAULT_SERVER, NO_LIMITS } from '../../../src/domain/defaults.ts';
import { ANY_NAME_MATCH, type Client, EMPTY_SNAPSHOT } from '../../../src/domain/model.ts';
import { apply, type Command } from '../../../src/domain/state.ts';
import { anyEntries } from '../../support/any-state.ts';
import { sampleClient, sampleGroup, sampleListener, sampleServer } from '../../support/sample-state.ts';

const commands: { readonly [K in Command['kind']]: Extract<Command, { readonly kind: K }> } = {
  replaceAll: {
    kind: 'replaceAll',
    listeners: [sampleListener('main')],
    targetGroups: [sampleGroup('web', ['127.0.0.1:8081'])],
    clients: [sampleClient('a', ['web'])],
    revocations: [{ fingerprint: 'ab'.repeat(32), comment: '', atMs: 0 }],
  },
  replaceSome: {
    kind: 'replaceSome',
    listeners: [sampleListener('other')],
    targetGroups: { put: [sampleGroup('mail')], removed: [] },
    clients: { put: [sampleClient('a', ['web', 'mail'])], removed: [] },
    revocations: [{ fingerprint: 'ef'.repeat(32), comment: 'x', atMs: 1 }],
    makes: { targetGroups: 2, servers: 1, clients: 1 },
    backTo: 51,
  },
  setListeners: {
    kind: 'setListeners',
    listeners: [sampleListener('main', { routes: [{ sni: undefined, alpn: 'h2', targetGroup: 'web' }] })],
  },
  addTargetGroup: { kind: 'addTargetGroup', group: sampleGroup('db') },
  updateTargetGroup: { kind: 'updateTargetGroup', group: sampleGroup('db', [], { algorithm: 'random' }) },
  removeTargetGroup: { kind: 'removeTargetGroup', name: 'db' },
  addUpstreamServer: { kind: 'addUpstreamServer', group: 'web', server: sampleServer('127.0.0.1:8082', { maxConnections: 9 }) },
  setUpstreamServer: {
    kind: 'setUpstreamServer',
    group: 'web',
    server: sampleServer('127.0.0.1:8082', { weight: 7, mode: 'maintenance' }),
  },
  removeUpstreamServer: { kind: 'removeUpstreamServer', group: 'web', address: '127.0.0.1:8082' },
  addClient: { kind: 'addClient', client: sampleClient('b', ['web']) },
  updateClient: { kind: 'updateClient', client: sampleClient('b', ['web'], { match: { ...ANY_NAME_MATCH, ou: 'x' } }) },
  removeClient: { kind: 'removeClient', clientId: 'b' },
  revokeCertificate: { kind: 'revokeCertificate', revocation: { fingerprint: 'cd'.repeat(32), comment: 'lost', atMs: 5 } },
};

describe('the codec of state', () => {
  for (const [kind, command] of Object.entries(commands)) {
    it(`reads ${kind} back as it was, fields that are undefined included`, () => {
      assert.deepEqual(decodeCommand(encodeCommand(command)), command);
    });
  }

  it('reads a snapshot back as it was', () => {
    const snapshot = Object.values(commands).reduce(apply, EMPTY_SNAPSHOT);
    assert.deepEqual(decodeSnapshot(encodeSnapshot(snapshot)), snapshot);
    assert.deepEqual(decodeSnapshot(encodeSnapshot(EMPTY_SNAPSHOT)), EMPTY_SNAPSHOT);
  });

  it('reads any state back as it was, and the command that makes it', () => {
    fc.assert(
      fc.property(anyEntries, (entries) => {
        const command: Command = { kind: 'replaceAll', ...entries };
        assert.deepEqual(decodeCommand(encodeCommand(command)), command);
        const snapshot = apply(EMPTY_SNAPSHOT, command);
        assert.deepEqual(decodeSnapshot(encodeSnapshot(snapshot)), snapshot);
      }),
    );
  });

  it('completes a state that the first version wrote with what has held before there was more to say', () => {
    const text = readFileSync(path.join(import.meta.dirname, 'state-of-the-first-version.json'), 'utf8');
    const { targetGroups, clients, listeners } = decodeSnapshot(text);
    assert.deepEqual(targetGroups.get('web'), {
      ...DEFAULT_GROUP,
      name: 'web',
      servers: [{ ...DEFAULT_SERVER, address: '127.0.0.1:8081' }],
      healthCheck: {
        ...DEFAULT_HEALTH_CHECK,
        type: 'http',
        http: { path: '/', host: undefined, statusFrom: 200, statusTo: 399, body: undefined },
      },
    });
    assert.deepEqual(clients.get('a'), {
      clientId: 'a',
      match: { ...ANY_NAME_MATCH, ou: 'x' },
      allowedTargetGroups: ['web'],
      limits: { ...NO_LIMITS, concurrentConnections: 9 },
    });
    assert.deepEqual(listeners, [sampleListener('main', { targetGroup: 'web' })]);
    // What it would be written as now is read the same.
    assert.deepEqual(decodeSnapshot(encodeSnapshot(decodeSnapshot(text))), decodeSnapshot(text));
  });

  it('takes a burst as large as the limit as left out where the first format wrote it, and as given from then on', () => {
    const withBurst = (burst: number): Client =>
      sampleClient('a', ['web'], {
        limits: {
          ...NO_LIMITS,
          connectionRate: { algorithm: 'leakyBucket', limit: 20, windowMs: 1000, burst, action: 'reset', maxDelayMs: 5000 },
        },
      });
    const makers: readonly ((client: Client) => Command)[] = [
      (client) => ({ kind: 'addClient', client }),
      (client) => ({ kind: 'updateClient', client }),
      (client) => ({ ...commands.replaceAll, clients: [client] }),
      (client) => ({ ...commands.replaceSome, clients: { put: [client], removed: [] } }),
    ];
    const inFirstFormat = (text: string) => text.replace('"format":2', '"format":1');
    for (const make of makers) {
      for (const [burst, read] of [
        [20, undefined],
        [21, 21],
      ] as const) {
        const text = encodeCommand(make(withBurst(burst)));
        assert.deepEqual(decodeCommand(text), make(withBurst(burst)));
        assert.deepEqual(burstsIn(decodeCommand(inFirstFormat(text))), [read], text);
      }
    }
    const snapshot = apply(apply(EMPTY_SNAPSHOT, commands.replaceAll), { kind: 'updateClient', client: withBurst(20) });
    const text = encodeSnapshot(snapshot);
    const burst = (json: string) => decodeSnapshot(json).clients.get('a')?.limits.connectionRate?.burst;
    assert.deepEqual([burst(text), burst(inFirstFormat(text))], [20, undefined]);
  });

  const refused: Record<string, [text: string, why: RegExp]> = {
    'no JSON': ['{"format":1,', /^document: expected JSON$/],
    'a later format': [
      '{"format":3,"command":{"kind":"removeClient","clientId":"b"}}',
      /\.format: expected format 2, which this version of lbd writes, or 1/,
    ],
    'an unknown command': ['{"format":1,"command":{"kind":"explode"}}', /\.command\.kind: expected one of replaceAll, /],
    'the name of something that every object has': ['{"format":1,"command":{"kind":"toString"}}', /\.command\.kind: expected one of/],
    'a missing field': ['{"format":1,"command":{"kind":"removeClient"}}', /\.command\.clientId: expected a text/],
    'a field of another type': ['{"format":1,"command":{"kind":"setListeners","listeners":{}}}', /\.listeners: expected a list/],
    'a field that a later version has added': [
      '{"format":1,"command":{"kind":"removeClient","clientId":"b","mode":"drain"}}',
      /\.command: expected no field "mode"/,
    ],
  };
  for (const [what, [text, why]] of Object.entries(refused)) {
    it(`refuses ${what}`, () => {
      assert.throws(
        () => decodeCommand(text),
        (error) => error instanceof DecodeError && why.test(error.message),
      );
    });
  }

  it('names the place deep inside where something is wrong', () => {
    const text = encodeCommand(commands.replaceAll).replace('"weight":1', '"weight":1.5');
    assert.throws(() => decodeCommand(text), /^DecodeError: \.command\.targetGroups\[0\]\.servers\[0\]\.weight: expected a whole number$/);
  });

  it('refuses a snapshot that no sequence of changes could have made', () => {
    const snapshot = apply(EMPTY_SNAPSHOT, commands.replaceAll);
    const text = encodeSnapshot(snapshot);
    assert.throws(
      () => decodeSnapshot(text.replace('"allowedTargetGroups":["web"]', '"allowedTargetGroups":["gone"]')),
      /expected a consistent state/,
    );
    const twice = encodeSnapshot({ ...snapshot, clients: new Map([...snapshot.clients, ['other', sampleClient('a', ['web'])]]) });
    assert.throws(() => decodeSnapshot(twice), /expected every name once/);
  });
});

/** Of the clients that a change puts there. */
function burstsIn(command: Command): readonly (number | undefined)[] {
  const clients = 'client' in command ? [command.client] : command.kind === 'replaceAll' ? command.clients : [];
  const put = command.kind === 'replaceSome' ? command.clients.put : clients;
  return put.map(({ limits }) => limits.connectionRate?.burst);
}
