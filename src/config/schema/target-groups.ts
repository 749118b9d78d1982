/** Target groups, their servers and health checks. */
import { z } from 'zod';
import { CHECK_TYPES } from '../../domain/health-check.ts';
import { ALGORITHMS, PROXY_PROTOCOL_VERSIONS, SERVER_MODES } from '../../domain/model.ts';
import { MOST_WAITING } from '../../domain/queue.ts';
import {
  DAY_MS,
  documented,
  duration,
  expecting,
  flag,
  list,
  MAX_CONNECTIONS,
  mapping,
  measured,
  oneOf,
  wholeNumber,
  zeroOrWholeNumber,
} from './fields.ts';
import { filePath, host, hostHeader, name, plainText, probeText, requestPath, serverAddress, statusRange } from './text-fields.ts';

const serverSettings = mapping({
  address: documented(serverAddress(), 'host:port of the server; IPv6 in brackets.', undefined, '127.0.0.1:8081'),
  weight: documented(wholeNumber(0, 256, 'share').prefault(1), 'Share of the connections, 0 to 256; 0 takes no new ones.', '1', 5),
  maxConnections: documented(
    wholeNumber(1, MAX_CONNECTIONS, 'connections').optional(),
    'Connections it may hold at once.',
    'no limit',
    100,
  ),
  backup: documented(flag().prefault(false), 'Takes connections only when no other server of the group can.', 'false', true),
  mode: documented(
    oneOf(SERVER_MODES).prefault('ready'),
    'drain takes no new connections and is still probed; maintenance is not probed either.',
    'ready',
    'drain',
  ),
});

const upstreamServer = measured(
  z.union([serverAddress(), serverSettings], expecting('host:port, or a mapping with address, weight, maxConnections, backup')),
  'server',
  'host:port, or mappings',
);

const healthCheck = mapping({
  type: documented(
    oneOf(CHECK_TYPES).prefault('tcp'),
    'What is tried: a TCP connect, a TLS handshake, an HTTP request, a call of grpc.health.v1, text that is sent and an answer, or nothing.',
    'tcp',
    'http',
  ),
  interval: documented(duration(10, DAY_MS).prefault('5s'), 'Time between probes.', '5s', '10s'),
  timeout: documented(duration(10, DAY_MS).prefault('5s'), 'A probe that takes longer has failed.', '5s', '2s'),
  unhealthyThreshold: documented(
    wholeNumber(1, 1000, 'probes').prefault(1),
    'Failures in a row that make a healthy server unhealthy.',
    '1',
    3,
  ),
  healthyThreshold: documented(
    wholeNumber(1, 1000, 'probes').prefault(3),
    'Successes in a row that make an unhealthy server healthy.',
    '3',
    2,
  ),
  maxInterval: documented(duration(10, DAY_MS).optional(), 'The interval grows to this while the server stays down.', '60s', '2m'),
  http: documented(
    mapping({
      path: documented(requestPath().prefault('/'), 'Path of the request.', '/', '/healthz'),
      host: documented(hostHeader().optional(), 'Host header of the request.', "the server's address", 'app.example.com'),
      status: documented(statusRange().prefault('200-399'), 'Status, or range of them, that means healthy.', '200-399', 200),
      body: documented(probeText(1).optional(), 'Text that the body must hold within its first 64 KiB.', 'the body is not read', 'OK'),
    }).optional(),
    'The request of type http.',
    'GET /, 200-399',
    { path: '/healthz', status: 200 },
  ),
  grpc: documented(
    mapping({
      service: documented(
        plainText('the name of a gRPC service', 253).optional(),
        'The service asked about.',
        'the server as a whole',
        'shop.Cart',
      ),
      authority: documented(hostHeader().optional(), 'The :authority of the call.', "the server's address", 'cart.example.com'),
    }).optional(),
    'The call of type grpc.',
    'the server as a whole',
    { service: 'shop.Cart' },
  ),
  sendExpect: documented(
    mapping({
      send: documented(probeText().prefault(''), 'Text that is sent after connecting; \\r and \\n in double quotes.', '""', 'PING\r\n'),
      expect: documented(probeText(1), 'Text that the answer must hold within its first 64 KiB.', undefined, '+PONG'),
    }).optional(),
    'What type sendExpect sends, and what it expects.',
    'required by type sendExpect',
    { send: 'PING\r\n', expect: '+PONG' },
  ),
});

const outlierDetection = mapping({
  consecutiveFailures: documented(
    wholeNumber(0, 1000, 'connects').prefault(5),
    'Failed connects in a row that eject a server; 0 ejects none.',
    '5',
    3,
  ),
  baseEjectionTime: documented(
    duration(1, DAY_MS).prefault('30s'),
    'How long the first ejection lasts; the second in a row lasts twice as long, and so on.',
    '30s',
    '10s',
  ),
  maxEjectionTime: documented(duration(1, DAY_MS).prefault('300s'), 'No ejection lasts longer.', '5m', '10m'),
  maxEjectionPercent: documented(
    wholeNumber(0, 100, 'percent').prefault(50),
    'At most this part of the servers is ejected at once, and never the last that is usable.',
    '50',
    20,
  ),
});

const queue = mapping({
  maxLength: documented(wholeNumber(1, MOST_WAITING, 'connections'), 'Connections that may wait.', undefined, 100),
  timeout: documented(duration(1, 600_000).prefault('5s'), 'A connection that has waited so long is refused.', '5s', '2s'),
});

const agentCheck = mapping({
  port: documented(wholeNumber(1, 65_535, 'port'), "Port of the agent on each server's host.", undefined, 9999),
  interval: documented(duration(10, DAY_MS).prefault('5s'), 'Time between questions.', '5s', '2s'),
  timeout: documented(duration(10, DAY_MS).prefault('5s'), 'An agent that takes longer has not answered.', '5s', '1s'),
});

const upstreamTls = mapping({
  ca: documented(
    filePath('the CA of the servers').optional(),
    'PEM file with the CAs of the servers.',
    'the public CAs',
    'certs/internalCA.pem',
  ),
  serverName: documented(host().optional(), 'Sent as SNI, and looked for in the certificate.', 'the host of the address', 'db.internal'),
  certificate: documented(
    filePath('a client certificate').optional(),
    'PEM file shown to servers that ask for a certificate.',
    'none',
    'certs/lb-client.crt',
  ),
  privateKey: documented(filePath('its private key').optional(), 'PEM file with its private key.', 'none', 'certs/lb-client.key'),
  insecureSkipVerify: documented(
    flag().prefault(false),
    'Take any certificate. Whoever can get between can read and change everything; lbd warns at each start.',
    'false',
    true,
  ),
});

export const targetGroup = mapping({
  name: documented(name('a name for the target group'), 'Unique; clients and routes refer to it.', undefined, 'FrontEndService'),
  algorithm: documented(
    oneOf(ALGORITHMS).prefault('leastConnections'),
    'How a server is chosen.',
    'leastConnections',
    'weightedRoundRobin',
  ),
  upstreamServers: documented(list(upstreamServer, 'upstream servers'), 'The servers, each as host:port or as a mapping.', undefined, [
    '127.0.0.1:8081',
    { address: '127.0.0.1:8082', weight: 5 },
  ]),
  healthCheck: documented(healthCheck.prefault({}), 'How the servers are probed.', 'tcp every 5s', { type: 'http', interval: '10s' }),
  connectTimeout: documented(
    duration(1, 600_000).optional(),
    'Time for one server to accept a connection.',
    'timeouts.connectTimeout',
    '2s',
  ),
  retries: documented(
    wholeNumber(0, 10, 'servers').optional(),
    'How many other servers are tried after the first refuses.',
    'timeouts.retries',
    1,
  ),
  onUnhealthy: documented(
    oneOf(['keep', 'close']).prefault('keep'),
    'What happens to live connections when their server turns unhealthy.',
    'keep',
    'close',
  ),
  slowStart: documented(
    duration(0, DAY_MS).prefault('0s'),
    'A server that has recovered gets its whole share after this time, rising linearly; never at the start of lbd.',
    '0s',
    '30s',
  ),
  panicThreshold: documented(
    wholeNumber(0, 100, 'percent').prefault(0),
    'When fewer than this percentage of the servers are healthy, all of them take connections; 0: never.',
    '0',
    50,
  ),
  outlierDetection: documented(
    outlierDetection.prefault({}),
    'Ejects servers for a while when connections to them fail.',
    '5 failures, 30s',
    { consecutiveFailures: 3 },
  ),
  queue: documented(queue.optional(), 'Connections wait while every server is at its maxConnections.', 'they are refused', {
    maxLength: 100,
    timeout: '2s',
  }),
  hashBalanceFactor: documented(
    zeroOrWholeNumber(101, 10_000, 'percent').prefault(125),
    'With sourceHash and clientHash: a server takes at most this percentage of the average load; 0: no bound.',
    '125',
    150,
  ),
  agentCheck: documented(
    agentCheck.optional(),
    "Asks an agent for each server's load, in HAProxy's agent format; required by algorithm resource.",
    'none',
    { port: 9999 },
  ),
  rebalance: documented(
    mapping({
      perSecond: documented(wholeNumber(1, 10_000, 'connections per second'), 'Connections that are closed each second.', undefined, 5),
    }).optional(),
    'After a server has recovered, closes connections of the others, the longest idle first, until the load is even.',
    'connections stay',
    { perSecond: 5 },
  ),
  sendProxyProtocol: documented(
    oneOf(PROXY_PROTOCOL_VERSIONS).optional(),
    'Version of the PROXY protocol that the servers are sent; v2 tells the TLS version and the common name too.',
    'none',
    'v2',
  ),
  upstreamTls: documented(upstreamTls.optional(), 'TLS to the servers; health checks but tcp speak it too.', 'plain TCP', {
    ca: 'certs/internalCA.pem',
  }),
  resolveInterval: documented(
    duration(100, DAY_MS).prefault('30s'),
    'How often host names of servers are looked up; when that fails the addresses known stay.',
    '30s',
    '10s',
  ),
});

export type TargetGroupInFile = z.output<typeof targetGroup>;
