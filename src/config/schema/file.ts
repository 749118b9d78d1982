/** The config file as the user writes it. Checks that need more than one value are in cross-checks.ts. */
import type { z } from 'zod';
import { LOG_LEVELS } from '../../domain/model.ts';
import { admin } from './admin.ts';
import { client } from './clients.ts';
import { DAY_MS, documented, duration, durationOrNone, list, mapping, oneOf, wholeNumber } from './fields.ts';
import { listener } from './listeners.ts';
import { metrics } from './metrics.ts';
import { targetGroup } from './target-groups.ts';
import { filePath, fingerprint, listenAddress, moment, plainText } from './text-fields.ts';
import { tlsParams } from './tls.ts';

/** Node.js timers hold no more than 2^31 - 1 ms. */
const LONGEST_MS = 24 * DAY_MS;

const timeouts = mapping({
  handshakeTimeout: documented(duration(1, 600_000).prefault('10s'), 'From accept to the end of the TLS handshake.', '10s', '5s'),
  connectTimeout: documented(
    duration(1, 600_000).prefault('5s'),
    'Time for one upstream server to accept a connection, where the target group does not say.',
    '5s',
    '2s',
  ),
  retries: documented(
    wholeNumber(0, 10, 'servers').prefault(3),
    'Other servers tried after the first refuses, where the target group does not say.',
    '3',
    1,
  ),
  idleTimeout: documented(
    duration(1, LONGEST_MS).prefault('1h'),
    'A connection on which no byte moves for this time is closed.',
    '1h',
    '10m',
  ),
  halfCloseTimeout: documented(duration(1, LONGEST_MS).prefault('30s'), 'Time for one side to end after the other has.', '30s', '10s'),
  maxDuration: documented(durationOrNone(1, LONGEST_MS).optional(), 'A connection is closed after this time however busy.', 'none', '12h'),
  drainTimeout: documented(duration(0, DAY_MS).prefault('30s'), 'Time for connections to end when the balancer stops.', '30s', '2m'),
});

const revokedCertificate = mapping({
  fingerprint: documented(fingerprint(), 'SHA-256 of the certificate: 64 hex digits, colons allowed.', undefined, 'a1'.repeat(32)),
  comment: documented(plainText('a comment', 256).optional(), 'Why, for people.', 'none', 'laptop lost'),
  revokedAt: documented(moment().optional(), 'When, for people: ISO 8601.', 'unknown', '2026-01-31T12:00:00Z'),
});

const store = mapping({
  kind: documented(
    oneOf(['sqlite', 'memory']).prefault('sqlite'),
    'Where run-time changes are kept; memory forgets them at the end.',
    'sqlite',
    'memory',
  ),
  path: documented(
    filePath('the state file').optional(),
    'State file of sqlite, beside the config file unless absolute.',
    'the config file name with .state.db in place of .yaml',
    'portcullis.state.db',
  ),
});

/** The whole file. Its input is what the user writes; its output has durations in ms and addresses read. */
export const fileSchema = mapping({
  listenAddress: documented(
    listenAddress().optional(),
    'host:port where clients connect: short for a listener named default.',
    'none; give listeners',
    '0.0.0.0:8080',
  ),
  tlsParams: documented(
    tlsParams.optional(),
    'TLS parameters of listenAddress, and of listeners and admin without their own.',
    'none; required by these',
    { certificate: 'certs/loadbalancer.crt', privateKey: 'certs/loadbalancer.key', caCert: 'certs/rootCA.pem' },
  ),
  listeners: documented(list(listener, 'listeners').prefault([]), 'Where clients connect.', 'none; give listenAddress', [
    { name: 'public', address: '0.0.0.0:8443' },
  ]),
  logLevel: documented(oneOf(LOG_LEVELS).prefault('info'), 'How much is logged.', 'info', 'debug'),
  targetGroups: documented(list(targetGroup, 'target groups').prefault([]), 'Named sets of interchangeable upstream servers.', 'none', [
    { name: 'FrontEndService', upstreamServers: ['127.0.0.1:8081'] },
  ]),
  clients: documented(list(client, 'clients').prefault([]), 'Who may connect, to what, how often.', 'none', [
    { clientId: 'clientA.bardomain.com', allowedTargetGroup: 'FrontEndService' },
  ]),
  revokedCertificates: documented(
    list(revokedCertificate, 'revoked certificates').prefault([]),
    'Certificates that nobody is admitted with, besides those on a CRL. Taking one out of the file does not admit it again.',
    'none',
    [{ fingerprint: 'a1'.repeat(32) }],
  ),
  timeouts: documented(timeouts.prefault({}), 'Time limits, each with its unit (ms, s, m, h, d).', 'as below', { idleTimeout: '10m' }),
  workers: documented(wholeNumber(1, 64, 'threads').optional(), 'Worker threads.', 'one for each processor, at most 64', 2),
  maxPendingHandshakes: documented(
    wholeNumber(1, 65_536, 'handshakes').prefault(1024),
    'Unfinished TLS handshakes that one worker holds at most; more are refused.',
    '1024',
    256,
  ),
  admin: documented(admin.prefault({}), 'The admin API.', '127.0.0.1:9000 with tlsParams', { address: '127.0.0.1:9000' }),
  metrics: documented(metrics.optional(), 'The Prometheus endpoint.', 'none: there is no endpoint', { address: '127.0.0.1:9100' }),
  store: documented(store.prefault({}), 'Where run-time changes are kept.', 'sqlite beside the config file', { kind: 'memory' }),
});

export type ConfigFile = z.output<typeof fileSchema>;
