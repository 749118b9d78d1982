import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { findMethod, loadContract, readMessages, toJson } from '../../../cli/call.ts';
import { durationFromJson, durationToJson, timestampFromJson, timestampToJson } from '../../../cli/well-known-json.ts';
import { temporaryFolder } from '../../support/temp-dir.ts';

const contract = loadContract();

test('finds a method by its short name and by every way to write it in full', () => {
  for (const name of [
    'ListClients',
    'lb.admin.v1.AdminService/ListClients',
    '/lb.admin.v1.AdminService/ListClients',
    'lb.admin.v1.AdminService.ListClients',
  ]) {
    assert.equal(findMethod(contract, name).path, '/lb.admin.v1.AdminService/ListClients', name);
  }
});

test('refuses a method that is not there, or that two services have', () => {
  assert.throws(() => findMethod(contract, 'ListNothing'), /there is no method ListNothing; expected one of GetState, PlanConfig/);
  assert.throws(
    () => findMethod(contract, 'ServerReflectionInfo'),
    /in full: grpc\.reflection\.v1\.ServerReflection\/ServerReflectionInfo or grpc\.reflection\.v1alpha/,
  );
});

/** What the server would read of this JSON, as lbctl prints it. */
function roundTrip(methodName: string, json: string): unknown {
  const rpc = findMethod(contract, methodName);
  const [request = {}] = readMessages(contract, rpc, json);
  const echo = { ...rpc, responseType: rpc.requestType };
  return toJson(contract, echo, rpc.requestDeserialize(rpc.requestSerialize(request)));
}

test('a request keeps every kind of field', () => {
  const targetGroup = {
    name: 'g',
    algorithm: 'ALGORITHM_ROUND_ROBIN',
    servers: [{ address: '127.0.0.1:1', weight: 0, maxConnections: 5, backup: true, mode: 'SERVER_MODE_DRAIN' }],
    healthCheck: {
      type: 'CHECK_TYPE_HTTP',
      interval: '0.250s',
      unhealthyThreshold: 2,
      healthyThreshold: 0,
      http: { path: '/x', host: '', statusFrom: 0, statusTo: 0, body: '' },
    },
    connectTimeout: '90s',
    onUnhealthy: 'ON_UNHEALTHY_UNSPECIFIED',
    panicThreshold: 0,
    sendProxyProtocol: 'PROXY_PROTOCOL_VERSION_V2',
  };
  const json = { targetGroup, expectedRevision: '18446744073709551615', requestId: 'r' };
  assert.deepEqual(roundTrip('AddTargetGroup', JSON.stringify(json)), json);
});

test('takes the field names of the .proto files, numbers for 64 bits, and nothing at all', () => {
  assert.deepEqual(roundTrip('AddUpstreamServer', '{"target_group": "g", "expected_revision": 7}'), {
    targetGroup: 'g',
    expectedRevision: '7',
    requestId: '',
  });
  assert.deepEqual(roundTrip('GetState', ''), {});
});

const MAPS = `syntax = "proto3";
package t;
message Maps {
  map<string, int64> by_name = 1;
  map<int64, string> wide = 2;
  map<uint64, bool> unsigned = 3;
  map<bool, In> yes = 4;
  map<sint32, Kind> kind = 5;
  map<fixed64, bytes> fixed = 6;
  repeated In list = 7;
  message In { string x = 1; }
  enum Kind { NONE = 0; ONE = 1; }
}
service S { rpc Echo(Maps) returns (Maps); }`;

test('maps of every kind of key and value are objects, both ways', async (t) => {
  const folder = await temporaryFolder(t);
  await writeFile(path.join(folder, 'maps.proto'), MAPS);
  const maps = loadContract(folder);
  const rpc = findMethod(maps, 't.S/Echo');
  const json = {
    byName: { a: '-5', 'b c': '9223372036854775807' },
    wide: { '-7': 'a', '9223372036854775807': 'z', '0': '' },
    unsigned: { '18446744073709551615': true },
    yes: { false: { x: 'no' }, true: { x: 'yes' } },
    kind: { '-4': 'ONE' },
    fixed: { '1': 'aGk=' },
    list: [{ x: 'one' }],
  };
  const [request = {}] = readMessages(maps, rpc, JSON.stringify(json));
  assert.deepEqual(toJson(maps, rpc, rpc.responseDeserialize(rpc.requestSerialize(request))), json);
  const refused: readonly (readonly [string, RegExp])[] = [
    ['{"byName": []}', /--data: byName: expected an object with the keys of the map/],
    ['{"byName": {"a": "x"}}', /--data: byName\["a"\]: expected a whole number/],
    ['{"wide": {"x": "a"}}', /--data: wide\["x"\]: expected a whole number/],
    ['{"yes": {"maybe": {}}}', /--data: yes\["maybe"\]: expected true or false as the key/],
  ];
  for (const [text, why] of refused) assert.throws(() => readMessages(maps, rpc, text), why);
});

test('a field mask is the paths with commas between them', () => {
  const json = { client: { clientId: 'c', allowedTargetGroups: ['g'] }, updateMask: 'allowedTargetGroups,limits.connectionRate' };
  const sent = roundTrip('UpdateClient', JSON.stringify(json));
  assert.partialDeepStrictEqual(sent, { updateMask: 'allowedTargetGroups,limits.connectionRate' });
  const rpc = findMethod(contract, 'UpdateClient');
  const [request = {}] = readMessages(contract, rpc, JSON.stringify(json));
  assert.partialDeepStrictEqual(request, { updateMask: { paths: ['allowed_target_groups', 'limits.connection_rate'] } });
});

test('writes times in RFC 3339 and nested enums by name', () => {
  const rpc = findMethod(contract, 'WatchHealth');
  const reply = rpc.responseDeserialize(
    rpc.responseSerialize({ kind: 'KIND_SYNCED', at: { seconds: 1_893_456_000, nanos: 500_001_000 }, revision: 3 }),
  );
  assert.deepEqual(toJson(contract, rpc, reply), {
    kind: 'KIND_SYNCED',
    targetGroup: '',
    server: '',
    from: 'HEALTH_STATE_UNSPECIFIED',
    to: 'HEALTH_STATE_UNSPECIFIED',
    cause: '',
    at: '2030-01-01T00:00:00.500001Z',
    revision: '3',
  });
});

test('durations and times keep every digit, and are written as proto3 JSON writes them', () => {
  for (const [text, written] of [
    ['0s', '0s'],
    ['1.5s', '1.500s'],
    ['-0.5s', '-0.500s'],
    ['-3.000001s', '-3.000001s'],
    ['0.000000001s', '0.000000001s'],
    ['315576000000s', '315576000000s'],
  ] as const) {
    assert.deepEqual(durationToJson(durationFromJson(text) ?? assert.fail(text)), written);
  }
  for (const text of ['', '1', '1m', '1.s', '.5s', '1s ', '0.0000000001s', '315576000001s'])
    assert.equal(durationFromJson(text), undefined, text);
  for (const [text, written] of [
    ['2030-01-31T12:00:00Z', '2030-01-31T12:00:00Z'],
    ['1969-12-31T23:59:59.25Z', '1969-12-31T23:59:59.250Z'],
    ['2030-01-31T12:00:00.000000001+02:00', '2030-01-31T10:00:00.000000001Z'],
  ] as const) {
    assert.deepEqual(timestampToJson(timestampFromJson(text) ?? assert.fail(text)), written);
  }
  for (const text of ['', '2030-01-31', '2030-13-31T12:00:00Z', '2030-01-31T12:00:00'])
    assert.equal(timestampFromJson(text), undefined, text);
});

const REFUSED: readonly (readonly [string, string, RegExp])[] = [
  ['AddClient', '{', /--data is not JSON/],
  ['AddClient', '[]', /--data: expected an object with the fields of AddClientRequest/],
  ['AddClient', '{"client": {"id": "x"}}', /client\.id: Client has no such field; expected clientId, match/],
  ['AddClient', '{"client": {"clientId": 5}}', /client\.clientId: expected text/],
  ['AddClient', '{"client": {"allowedTargetGroups": "g"}}', /client\.allowedTargetGroups: expected an array/],
  ['AddClient', '{"client": {"limits": {"connectionRate": {"limit": -1}}}}', /connectionRate\.limit: expected an unsigned 32-bit number/],
  ['AddClient', '{"client": {"limits": {"connectionRate": {"limit": 1.5}}}}', /connectionRate\.limit: expected a whole number/],
  ['AddClient', '{"client": {"limits": {"connectionRate": {"window": 5}}}}', /connectionRate\.window: expected a duration in seconds/],
  ['AddClient', '{"client": {"limits": {"connectionRate": {"window": "1m"}}}}', /connectionRate\.window: expected a duration in seconds/],
  ['AddClient', '{"expectedRevision": 9007199254740993}', /expectedRevision: expected so large a number in quotes/],
  ['UpdateClient', '{"updateMask": ["match"]}', /updateMask: expected field names with commas between them/],
  ['AddTargetGroup', '{"targetGroup": {"algorithm": "roundRobin"}}', /algorithm: expected one of ALGORITHM_UNSPECIFIED, /],
  ['AddTargetGroup', '{"targetGroup": {"servers": [{}, {"backup": "yes"}]}}', /targetGroup\.servers\[1\]\.backup: expected true or false/],
  ['GetState', '{"x": 1}', /x: GetStateRequest has no such field; it has none/],
];

test('refuses JSON that the message does not have, and names the field', () => {
  for (const [method, json, expected] of REFUSED) {
    assert.throws(() => readMessages(contract, findMethod(contract, method), json), expected, json);
  }
});

test('a request stream takes one message from each line', () => {
  const rpc = findMethod(contract, 'grpc.reflection.v1.ServerReflection/ServerReflectionInfo');
  assert.equal(readMessages(contract, rpc, '{"listServices": "*"}\n\n{"fileByFilename": "a.proto"}\n').length, 2);
});
