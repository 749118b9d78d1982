/** Target groups, their servers and health checks. */
import { z } from 'zod';
import { ALGORITHMS, SERVER_MODES } from '../../domain/model.ts';
import {
  DAY_MS,
  documented,
  duration,
  expecting,
  hostHeader,
  list,
  MAX_CONNECTIONS,
  mapping,
  name,
  oneOf,
  requestPath,
  serverAddress,
  statusRange,
  wholeNumber,
} from './fields.ts';

const serverSettings = mapping({
  address: documented(serverAddress(), 'host:port of the server; IPv6 in brackets.', undefined, '127.0.0.1:8081'),
  weight: documented(wholeNumber(0, 256).prefault(1), 'Share of the connections, 0 to 256; 0 takes no new ones.', '1', 5),
  maxConnections: documented(wholeNumber(1, MAX_CONNECTIONS).optional(), 'Connections it may hold at once.', 'no limit', 100),
  backup: documented(
    z.boolean(expecting('true or false')).prefault(false),
    'Takes connections only when no other server of the group can.',
    'false',
    true,
  ),
  mode: documented(
    oneOf(SERVER_MODES).prefault('ready'),
    'drain takes no new connections and is still probed; maintenance is not probed either.',
    'ready',
    'drain',
  ),
});

const healthCheck = mapping({
  type: documented(
    oneOf(['tcp', 'tls', 'http', 'none']).prefault('tcp'),
    'What is tried: a TCP connect, a TLS handshake, an HTTP request, or nothing.',
    'tcp',
    'http',
  ),
  interval: documented(duration(10, DAY_MS).prefault('5s'), 'Time between probes.', '5s', '10s'),
  timeout: documented(duration(10, DAY_MS).prefault('5s'), 'A probe that takes longer has failed.', '5s', '2s'),
  unhealthyThreshold: documented(wholeNumber(1, 1000).prefault(1), 'Failures in a row that make a healthy server unhealthy.', '1', 3),
  healthyThreshold: documented(wholeNumber(1, 1000).prefault(3), 'Successes in a row that make an unhealthy server healthy.', '3', 2),
  maxInterval: documented(duration(10, DAY_MS).optional(), 'The interval grows to this while the server stays down.', '60s', '2m'),
  http: documented(
    mapping({
      path: documented(requestPath().prefault('/'), 'Path of the request.', '/', '/healthz'),
      host: documented(hostHeader().optional(), 'Host header of the request.', "the server's address", 'app.example.com'),
      status: documented(statusRange().prefault('200-399'), 'Status, or range of them, that means healthy.', '200-399', 200),
    }).optional(),
    'The request of type http.',
    'GET /, 200-399',
    { path: '/healthz', status: 200 },
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
  upstreamServers: documented(
    list(
      z.union([serverAddress(), serverSettings], expecting('host:port, or a mapping with address, weight, maxConnections, backup')),
      'upstream servers',
    ),
    'The servers, each as host:port or as a mapping.',
    undefined,
    ['127.0.0.1:8081', { address: '127.0.0.1:8082', weight: 5 }],
  ),
  healthCheck: documented(healthCheck.prefault({}), 'How the servers are probed.', 'tcp every 5s', { type: 'http', interval: '10s' }),
  connectTimeout: documented(
    duration(1, 600_000).optional(),
    'Time for one server to accept a connection.',
    'timeouts.connectTimeout',
    '2s',
  ),
  retries: documented(wholeNumber(0, 10).optional(), 'How many other servers are tried after the first refuses.', 'timeouts.retries', 1),
  onUnhealthy: documented(
    oneOf(['keep', 'close']).prefault('keep'),
    'What happens to live connections when their server turns unhealthy.',
    'keep',
    'close',
  ),
});
