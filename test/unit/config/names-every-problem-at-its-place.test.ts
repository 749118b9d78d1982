import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig } from '../../../src/config/parse.ts';
import { ConfigError } from '../../../src/config/problems.ts';

/** The lines that `parseConfig` answers with. */
function problemsOf(text: string): string[] {
  try {
    parseConfig(text, 'lb.yaml', { cwd: '/', exists: () => false });
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    assert.equal(error.message.split('\n').length, error.problems.length, 'one line for each problem');
    return error.message.split('\n');
  }
  return [];
}

/** Lines 1 to 2 of every file below, so that the lines under test begin at 3. */
const HEAD = `listenAddress: "127.0.0.1:8080"
tlsParams: {certificate: a.crt, privateKey: a.key, caCert: ca.pem}
`;
const GROUPS = 'targetGroups: [{name: web, upstreamServers: ["127.0.0.1:1"]}, {name: db, upstreamServers: []}]\n';

test('the head that these tests build on has no problem', () => {
  assert.deepEqual(problemsOf(HEAD + GROUPS), []);
});

const inBody: Readonly<Record<string, readonly [body: string, ...problems: RegExp[]]>> = {
  'an unknown key': ['logLevl: info', /^lb\.yaml:3:1: logLevl: unknown key \(did you mean logLevel\?\); expected one of listenAddress, /],
  'an unknown key far from any': ['zebra: 1', /^lb\.yaml:3:1: zebra: unknown key; expected one of listenAddress, /],
  'an unknown key in a list': [
    'targetGroups:\n  - name: web\n    upstreamServers:\n      - address: "a:1"\n        wieght: 3',
    /^lb\.yaml:7:9: targetGroups\[0\]\.upstreamServers\[0\]\.wieght: unknown key \(did you mean weight\?\); expected one of address, weight, maxConnections, backup, mode$/,
  ],
  'two clients that cannot be told apart': [
    'clients:\n  - {clientId: a, match: {cn: x, ou: u}, allowedTargetGroup: w}\n  - {clientId: b, match: {cn: x}, allowedTargetGroup: w}\n  - {clientId: x, allowedTargetGroup: w}\ntargetGroups: [{name: w, upstreamServers: []}]',
    /^lb\.yaml:5:26: clients\[1\]\.match: expected a match that tells it from "a" of line 4; every certificate of "a" would be one of "b" too, and refused as ambiguous_identity$/,
    /^lb\.yaml:6:16: clients\[2\]\.clientId: expected a match that tells it from "b" of line 5; every certificate of "b" would be one of "x" too/,
  ],
  'a client with the certificate of a role': [
    'admin: {roles: {viewer: [], operator: [{dns: ops, ou: u}], admin: [boss]}}\nclients: [{clientId: boss, allowedTargetGroup: w}, {clientId: x, match: {ou: u}, allowedTargetGroup: w}]\ntargetGroups: [{name: w, upstreamServers: []}]',
    /^lb\.yaml:4:22: clients\[0\]\.clientId: expected a match that leaves administrators out; a certificate that has its role by line 3 would open nothing there$/,
    /^lb\.yaml:4:73: clients\[1\]\.match: expected a match that leaves administrators out/,
  ],
  'a client with the certificate of a role that goes without saying': [
    'clients: [{clientId: operator, allowedTargetGroup: w}]\ntargetGroups: [{name: w, upstreamServers: []}]',
    /^lb\.yaml:3:22: clients\[0\]\.clientId: expected a match that leaves administrators out; a certificate that has its role without admin\.roles would/,
  ],
  'keys of JavaScript objects': [
    '__proto__: {a: 1}\nconstructor: 2',
    /^lb\.yaml:3:1: __proto__: unknown key/,
    /^lb\.yaml:4:1: constructor: unknown key/,
  ],
  'a duplicate key': ['logLevel: info\nlogLevel: warn', /^lb\.yaml:4:1: logLevel: duplicate key; it is given in line 3 already$/],
  'a missing key': [
    'targetGroups:\n  - name: web',
    /^lb\.yaml:4:5: targetGroups\[0\]\.upstreamServers: missing; expected a list of upstream servers$/,
  ],
  'a value of another kind': ['workers: "2"', /^lb\.yaml:3:10: workers: expected a whole number from 1 to 64, found "2"$/],
  'a number out of range': ['workers: 65', /^lb\.yaml:3:10: workers: expected a whole number from 1 to 64, found 65$/],
  'part of a number': ['workers: 1.5', /^lb\.yaml:3:10: workers: expected a whole number from 1 to 64, found 1\.5$/],
  'not a number': ['workers: .nan', /^lb\.yaml:3:10: workers: expected a whole number from 1 to 64, found NaN$/],
  'an empty value': ['workers:', /^lb\.yaml:3:1: workers: expected a whole number from 1 to 64, found nothing$/],
  'a word that is not in the list': [
    'logLevel: loud',
    /^lb\.yaml:3:11: logLevel: expected one of trace, debug, info, warn, error, fatal, silent, found "loud"$/,
  ],
  'a mapping in place of a list': ['clients: {a: 1}', /^lb\.yaml:3:10: clients: expected a list of clients, found a mapping$/],
  'a time without a unit': [
    'timeouts:\n  idleTimeout: 30\n  maxDuration: 5\n  drainTimeout: "7"',
    /^lb\.yaml:4:16: timeouts\.idleTimeout: expected a time from 1ms to 24d with its unit, such as "5s", found 30: add a unit: 30s or 30ms$/,
    /^lb\.yaml:5:16: timeouts\.maxDuration: expected a time .* or none, found 5: add a unit: 5s or 5ms$/,
    /^lb\.yaml:6:17: timeouts\.drainTimeout: expected a time .*, found "7": add a unit: 7s or 7ms$/,
  ],
  'a time out of range': [
    'timeouts: {handshakeTimeout: 1h}',
    /^lb\.yaml:3:30: timeouts\.handshakeTimeout: expected a time from 1ms to 10m .*, found "1h"$/,
  ],
  'an upstream server that is no address': [
    'targetGroups: [{name: web, upstreamServers: ["nope", "a:0", "a:70000", ":1", "[::x]:1", 5, {address: "b"}]}]',
    /^lb\.yaml:3:46: targetGroups\[0\]\.upstreamServers\[0\]: expected host:port of an upstream server, such as "127\.0\.0\.1:8081", found "nope"$/,
    /^lb\.yaml:3:54: .*\[1\]: .*, found "a:0": it has a port outside 1 to 65535$/,
    /^lb\.yaml:3:61: .*\[2\]: .*, found "a:70000": it has a port outside/,
    /^lb\.yaml:3:72: .*\[3\]: .*, found ":1": it has no host$/,
    /^lb\.yaml:3:78: .*\[4\]: .*, found "\[::x\]:1": it has no IPv6 address/,
    /^lb\.yaml:3:89: .*\[5\]: expected host:port, or a mapping with address, weight, maxConnections, backup, found 5$/,
    /^lb\.yaml:3:102: .*\[6\]\.address: expected host:port/,
  ],
  'a server listed twice': [
    'targetGroups:\n  - name: web\n    upstreamServers:\n      - "Host:1"\n      - {address: "host:1"}\n      - "host:2"',
    /^lb\.yaml:7:19: targetGroups\[0\]\.upstreamServers\[1\]\.address: expected a unique value; "host:1" is used by line 6 already$/,
  ],
  'a group defined twice': [
    'targetGroups:\n  - {name: web, upstreamServers: []}\n  - {name: web, upstreamServers: []}',
    /^lb\.yaml:5:12: targetGroups\[1\]\.name: expected a unique value; "web" is used by line 4 already$/,
  ],
  'a client defined twice': [
    `${GROUPS}clients:\n  - {clientId: a, allowedTargetGroup: web}\n  - {clientId: a, allowedTargetGroup: db}`,
    /^lb\.yaml:6:16: clients\[1\]\.clientId: expected a unique value; "a" is used by line 5 already$/,
  ],
  'a name with blanks': [
    'targetGroups: [{name: "a b", upstreamServers: []}]',
    /^lb\.yaml:3:23: targetGroups\[0\]\.name: expected a name for the target group: 1 to 253 .*, found "a b"$/,
  ],
  'groups that are not there': [
    `${GROUPS}clients:\n  - {clientId: a, allowedTargetGroup: wbe}\n  - {clientId: b, allowedTargetGroups: [web, data]}`,
    /^lb\.yaml:5:39: clients\[0\]\.allowedTargetGroup: expected the name of a target group, found "wbe"; there are "web", "db"$/,
    /^lb\.yaml:6:46: clients\[1\]\.allowedTargetGroups\[1\]: expected the name of a target group, found "data"; there are "web", "db"$/,
  ],
  'a listener that leads nowhere': [
    'listeners:\n  - {name: a, address: "a:1", targetGroup: web}\n  - {name: b, address: "a:2", routes: [{sni: x.y, targetGroup: web}]}',
    /^lb\.yaml:4:44: listeners\[0\]\.targetGroup: expected the name of a target group, found "web"; there are none$/,
    /^lb\.yaml:5:64: listeners\[1\]\.routes\[0\]\.targetGroup: expected the name of a target group, found "web"; there are none$/,
  ],
  'listener names that are taken': [
    'listeners:\n  - {name: a, address: "a:1"}\n  - {name: a, address: "a:2"}\n  - {name: default, address: "a:3"}',
    /^lb\.yaml:5:12: listeners\[1\]\.name: expected a unique value; "a" is used by line 4 already$/,
    /^lb\.yaml:6:12: listeners\[2\]\.name: expected a unique value; "default" is used by the listener that listenAddress makes in line 1 already$/,
  ],
  'listener addresses that are taken': [
    'listeners:\n  - {name: a, address: "127.0.0.1:8080"}\n  - {name: b, address: "127.0.0.1:9000"}\n  - {name: c, address: "127.0.0.1:0"}\n  - {name: d, address: "127.0.0.1:0"}',
    /^lb\.yaml:4:24: listeners\[0\]\.address: expected an address of its own; 127\.0\.0\.1:8080 is taken by line 1$/,
    /^lb\.yaml:5:24: listeners\[1\]\.address: expected an address of its own; 127\.0\.0\.1:9000 is taken by the admin API, unless admin\.address says otherwise$/,
  ],
  'an admin address that is taken': [
    'admin: {address: "127.0.0.1:8080"}',
    /^lb\.yaml:3:18: admin\.address: expected an address of its own; 127\.0\.0\.1:8080 is taken by line 1$/,
  ],
  'routes that are never used': [
    `${GROUPS}listeners: [{name: a, address: "a:1", targetGroup: web, routes: [{targetGroup: db}]}]`,
    /^lb\.yaml:4:65: listeners\[0\]\.routes: expected no routes beside targetGroup, which takes every connection$/,
  ],
  'a bad server name': [
    `${GROUPS}listeners: [{name: a, address: "a:1", routes: [{sni: "*.*.x", targetGroup: db}, {sni: 10.0.0.1, targetGroup: db}]}]`,
    /^lb\.yaml:4:54: listeners\[0\]\.routes\[0\]\.sni: expected a host name such as/,
    /^lb\.yaml:4:87: listeners\[0\]\.routes\[1\]\.sni: expected a host name such as/,
  ],
  'a client without a group': [
    'clients:\n  - clientId: a',
    /^lb\.yaml:4:5: clients\[0\]\.allowedTargetGroup: missing; expected the name of a target group \(or a list as allowedTargetGroups\)$/,
  ],
  'a client with both forms of groups': [
    `${GROUPS}clients:\n  - {clientId: a, allowedTargetGroup: web, allowedTargetGroups: [db]}`,
    /^lb\.yaml:5:65: clients\[0\]\.allowedTargetGroups: expected either allowedTargetGroup or allowedTargetGroups, found both$/,
  ],
  'an empty list of groups': [
    'clients: [{clientId: a, allowedTargetGroups: []}]',
    /^lb\.yaml:3:46: clients\[0\]\.allowedTargetGroups: expected at least one target group, found a list$/,
  ],
  'both forms of the connection rate': [
    `${GROUPS}clients: [{clientId: a, allowedTargetGroup: web, requests_per_second: 1, limits: {connectionRate: {limit: 2}}}]`,
    /^lb\.yaml:4:99: clients\[0\]\.limits\.connectionRate: expected either requests_per_second or limits\.connectionRate, found both$/,
  ],
  'a rate of nothing': [
    `${GROUPS}clients: [{clientId: a, allowedTargetGroup: web, requests_per_second: 0}]`,
    /^lb\.yaml:4:71: clients\[0\]\.requests_per_second: expected a whole number from 1 to 1000000, found 0$/,
  ],
  'a log of too many connections': [
    `${GROUPS}clients: [{clientId: a, allowedTargetGroup: web, limits: {connectionRate: {algorithm: slidingWindowLog, limit: 100001}}}]`,
    /^lb\.yaml:4:112: clients\[0\]\.limits\.connectionRate\.limit: expected a whole number from 1 to 100000 with slidingWindowLog, found 100001$/,
  ],
  'a match of nothing': [
    `${GROUPS}clients: [{clientId: a, allowedTargetGroup: web, match: {}}]`,
    /^lb\.yaml:4:57: clients\[0\]\.match: expected at least one of cn, dns, uri, ou, fingerprint, cidr$/,
  ],
  'a fingerprint that is too short': [
    `${GROUPS}clients: [{clientId: a, allowedTargetGroup: web, match: {fingerprint: "ab:cd"}}]`,
    /^lb\.yaml:4:71: clients\[0\]\.match\.fingerprint: expected the SHA-256 fingerprint of a certificate: 64 hex digits in quotes, colons allowed, found "ab:cd"$/,
  ],
  'health check settings that do not fit': [
    'targetGroups:\n  - name: web\n    upstreamServers: []\n    healthCheck: {interval: 2m, maxInterval: 60s, http: {path: "x", status: 700}}',
    /^lb\.yaml:6:46: targetGroups\[0\]\.healthCheck\.maxInterval: expected a time not shorter than interval$/,
    /^lb\.yaml:6:57: targetGroups\[0\]\.healthCheck\.http: expected type: http beside these settings$/,
    /^lb\.yaml:6:64: targetGroups\[0\]\.healthCheck\.http\.path: expected a path that begins with \/ and has no blanks, found "x"$/,
    /^lb\.yaml:6:77: targetGroups\[0\]\.healthCheck\.http\.status: expected an HTTP status such as 200, or a range such as "200-399", found 700$/,
  ],
  'checks of other types, and one that expects nothing': [
    'targetGroups:\n  - name: web\n    upstreamServers: []\n    healthCheck: {type: sendExpect, grpc: {service: ""}, http: {}}',
    /^lb\.yaml:6:5: targetGroups\[0\]\.healthCheck\.sendExpect: missing; expected a mapping with send and expect, since type is sendExpect$/,
    /^lb\.yaml:6:43: targetGroups\[0\]\.healthCheck\.grpc: expected type: grpc beside these settings$/,
    /^lb\.yaml:6:53: targetGroups\[0\]\.healthCheck\.grpc\.service: expected the name of a gRPC service, found ""$/,
    /^lb\.yaml:6:64: targetGroups\[0\]\.healthCheck\.http: expected type: http beside these settings$/,
  ],
  'traffic policy out of its bounds': [
    'targetGroups:\n  - name: web\n    upstreamServers: []\n    algorithm: resource\n    hashBalanceFactor: 100\n    slowStart: 5\n    queue: {timeout: 0s}\n    sendProxyProtocol: v3\n    upstreamTls: {certificate: a.crt, serverName: "*.internal"}',
    /targetGroups\[0\]\.agentCheck: missing; expected an agentCheck with algorithm resource, which rests on it$/,
    /^lb\.yaml:7:24: targetGroups\[0\]\.hashBalanceFactor: expected 0, or a whole number from 101 to 10000, found 100$/,
    /^lb\.yaml:8:16: targetGroups\[0\]\.slowStart: expected a time from 0s to 1d with its unit, such as "5s", found 5: add a unit: 5s or 5ms$/,
    /targetGroups\[0\]\.queue\.maxLength: missing; expected a whole number from 1 to 16384$/,
    /^lb\.yaml:9:22: targetGroups\[0\]\.queue\.timeout: expected a time from 1ms to 10m with its unit, such as "5s", found "0s"$/,
    /^lb\.yaml:10:24: targetGroups\[0\]\.sendProxyProtocol: expected one of v1, v2, found "v3"$/,
    /^lb\.yaml:11:18: targetGroups\[0\]\.upstreamTls: expected certificate and privateKey together, or neither$/,
    /^lb\.yaml:11:51: targetGroups\[0\]\.upstreamTls\.serverName: expected a host name such as "db\.example\.com", or an IP address, found "\*\.internal"$/,
  ],
  'limits and networks that are none': [
    `${GROUPS}clients: [{clientId: a, allowedTargetGroup: web, match: {cidr: 10.0.0.1/8}, limits: {bandwidth: {upload: 5 furlongs, download: 1}}}]`,
    /^lb\.yaml:4:64: clients\[0\]\.match\.cidr: expected a network such as "10\.0\.0\.0\/8" or "2001:db8::\/32", found "10\.0\.0\.1\/8": the bits after \/8 are not 0/,
    /clients\[0\]\.limits\.bandwidth\.upload: expected bytes per second from 1024 on, .* found "5 furlongs"$/,
    /clients\[0\]\.limits\.bandwidth\.download: expected bytes per second from 1024 on, .* found 1$/,
  ],
  'roles that name nobody': [
    'admin:\n  roles: {admin: [5, {}], owner: [a]}',
    /^lb\.yaml:4:19: admin\.roles\.admin\[0\]: expected the common name of a certificate, or a mapping with cn, dns, uri, ou, fingerprint, found 5$/,
    /^lb\.yaml:4:22: admin\.roles\.admin\[1\]: expected at least one of cn, dns, uri, ou, fingerprint$/,
    /^lb\.yaml:4:27: admin\.roles\.owner: unknown key; expected one of viewer, operator, admin$/,
  ],
  'roles as a list that name nobody': [
    'admin:\n  roles:\n    - {role: admin}\n    - {role: king, cn: a}\n    - {role: viewer, cn: a, match: {cn: b}}',
    /^lb\.yaml:5:7: admin\.roles\[0\]\.match: missing; expected at least one of cn, dns, uri, ou, fingerprint$/,
    /^lb\.yaml:6:14: admin\.roles\[1\]\.role: expected one of viewer, operator, admin, found "king"$/,
    /^lb\.yaml:7:36: admin\.roles\[2\]\.match: expected either match or the keys of a match beside role, found both$/,
  ],
  'a path for a store without one': ['store: {kind: memory, path: x}', /^lb\.yaml:3:29: store\.path: expected no path with kind memory/],
  'text that could steer a terminal': ['"a\\e[2Jb\\n": "\\u202e"', /^lb\.yaml:3:1: \["a\\u001b\[2Jb\\n"\]: unknown key; /],
  'a key that is no name': [
    '? [a]\n: 1\n? ~\n: 2',
    /^lb\.yaml:3:3: expected a plain name as the key$/,
    /^lb\.yaml:5:3: expected a plain name as the key$/,
  ],
  'a tag': ['logLevel: !level info', /^lb\.yaml:3:11: Unresolved tag: !level; write the value without a tag$/],
};

for (const [name, [body, ...expected]] of Object.entries(inBody)) {
  test(`${name} is named at its place`, () => {
    const problems = problemsOf(HEAD + body);
    assert.equal(problems.length, expected.length, problems.join('\n'));
    for (const [index, pattern] of expected.entries()) assert.match(problems[index] ?? '', pattern);
  });
}

const wholeFiles: Readonly<Record<string, readonly [text: string, ...problems: RegExp[]]>> = {
  'an empty file': ['', /^lb\.yaml:1:1: the file is empty; expected a mapping/],
  'a file of comments': ['# nothing\n', /^lb\.yaml:1:1: the file is empty; expected a mapping/],
  'a list': ['- a\n', /^lb\.yaml:1:1: expected a mapping with listenAddress, .*, found a list$/],
  'a text': ['\n  hello', /^lb\.yaml:2:3: expected a mapping with listenAddress, .*, found "hello"$/],
  'nothing that listens': [
    'logLevel: info\nlisteners: []',
    /^lb\.yaml:1:1: listenAddress: missing; expected "host:port" where clients connect \(or a list of listeners\)$/,
    /^lb\.yaml:1:1: tlsParams: missing; expected a mapping with certificate, privateKey, caCert, used by admin$/,
  ],
  'TLS parameters that are missing': [
    'listenAddress: "a:1"\nlisteners: [{name: a, address: "a:2"}]',
    /^lb\.yaml:1:1: tlsParams: missing; expected a mapping with certificate, privateKey, caCert, used by listenAddress, listeners\[0\], admin$/,
  ],
  'TLS parameters that do not fit': [
    'listenAddress: "a:1"\ntlsParams:\n  certificate: 5\n  privateKey: ""\n  minVersion: TLSv1.1\n  ciphers: [RC4-SHA]\nadmin:\n  tls: {certificate: a, privateKey: b, caCert: c, minVersion: TLSv1.3, ciphers: ECDHE-RSA-AES128-GCM-SHA256}',
    /^lb\.yaml:2:1: tlsParams\.caCert: missing; expected the path of the CA of client certificates$/,
    /^lb\.yaml:3:16: tlsParams\.certificate: expected the path of the server's certificate, found 5$/,
    /^lb\.yaml:4:15: tlsParams\.privateKey: expected the path of the certificate's private key, found ""$/,
    /^lb\.yaml:5:15: tlsParams\.minVersion: expected one of TLSv1\.2, TLSv1\.3, found "TLSv1\.1"$/,
    /^lb\.yaml:6:13: tlsParams\.ciphers\[0\]: expected the IANA or OpenSSL name of a cipher suite, found "RC4-SHA": .*there are TLS_AES_128_GCM_SHA256, /,
    /^lb\.yaml:8:81: admin\.tls\.ciphers: expected a suite of TLS 1\.3, such as TLS_AES_128_GCM_SHA256, since minVersion is TLSv1\.3$/,
  ],
  'bad syntax': ['listenAddress: "a:1"\ntlsParams: {certificate: a', /^lb\.yaml:2:27: not valid YAML: Flow map /],
  'several faults of syntax, of which the first counts': ['a: [1\nb: ]\nc: "', /^lb\.yaml:2:1: not valid YAML: /],
  'a tab': ['tlsParams:\n\tcertificate: a\n', /^lb\.yaml:2:1: tabs are not allowed as indentation in YAML; expected spaces$/],
  'two documents': [`${HEAD}---\n${HEAD}`, /^lb\.yaml:3:1: expected one YAML document; a second one begins here$/],
  'deep nesting': [
    `${HEAD}workers: ${'['.repeat(60)}${']'.repeat(60)}`,
    /^lb\.yaml:3:10: workers: expected a whole number/,
    /^lb\.yaml:3:60: workers(?:\[0\]){50}: expected at most 50 levels of nesting$/,
  ],
  'an alias to nothing': [
    `${HEAD}logLevel: *level`,
    /^lb\.yaml:3:11: logLevel: expected a value; there is no anchor &level before this alias$/,
  ],
  'an alias inside what it refers to': [
    `${HEAD}clients: &c [*c]`,
    /^lb\.yaml:3:14: clients\[0\]: expected a value; the alias \*c stands inside what it refers to$/,
  ],
};

for (const [name, [text, ...expected]] of Object.entries(wholeFiles)) {
  test(`${name} is named at its place`, () => {
    const problems = problemsOf(text);
    assert.equal(problems.length, expected.length, problems.join('\n'));
    for (const [index, pattern] of expected.entries()) assert.match(problems[index] ?? '', pattern);
  });
}

test('a bomb of aliases is defused', () => {
  const levels = Array.from(
    { length: 12 },
    (_, level) => `l${level}: &l${level} [${Array.from({ length: 10 }, () => (level === 0 ? 'x' : `*l${level - 1}`)).join(', ')}]`,
  );
  const problems = problemsOf(`${HEAD}${levels.join('\n')}`);
  assert.equal(problems.filter((line) => line.includes('expected aliases that stand for at most 100000 values in all')).length, 1);
});

test('problems of every kind are listed in one run, in the order of the file', () => {
  const problems = problemsOf('logLevel: loud\nlogLevel: info\nclients: [{clientId: a, allowedTargetGroup: b, x: 1}]\nworkers: 0\n');
  assert.deepEqual(
    problems.map((line) => line.split(': ', 2).join(': ')),
    [
      'lb.yaml:1:1: listenAddress',
      'lb.yaml:1:1: tlsParams',
      'lb.yaml:1:11: logLevel',
      'lb.yaml:2:1: logLevel',
      'lb.yaml:3:45: clients[0].allowedTargetGroup',
      'lb.yaml:3:48: clients[0].x',
      'lb.yaml:4:10: workers',
    ],
  );
});

test('a ConfigError carries each problem in parts', () => {
  assert.throws(
    () => parseConfig(`${HEAD}workers: 0`, 'conf/lb.yaml'),
    (error) => {
      assert.ok(error instanceof ConfigError);
      assert.deepEqual(error.problems, [
        { file: 'conf/lb.yaml', line: 3, col: 10, path: 'workers', expected: 'expected a whole number from 1 to 64, found 0' },
      ]);
      return true;
    },
  );
});
