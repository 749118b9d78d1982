/** Clients: who they are, where they may go, how often. */
import type { z } from 'zod';
import { RATE_ALGORITHMS } from '../../domain/model.ts';
import {
  bytesPerSecond,
  DAY_MS,
  documented,
  duration,
  expecting,
  flag,
  list,
  MAX_CONNECTIONS,
  mapping,
  oneOf,
  wholeNumber,
} from './fields.ts';
import { fingerprint, name, network, plainText, uriOrPattern } from './text-fields.ts';

export const matchShape = {
  cn: documented(
    plainText('the common name of a certificate').optional(),
    'Common name of the certificate, exactly.',
    'any',
    'clientA.bardomain.com',
  ),
  dns: documented(
    plainText('a DNS name of a certificate').optional(),
    'A DNS alternative name of the certificate.',
    'any',
    'a.bardomain.com',
  ),
  uri: documented(
    uriOrPattern().optional(),
    'A URI alternative name of the certificate, such as a SPIFFE ID; in its path * stands for one segment, ** for one or more.',
    'any',
    'spiffe://bardomain.com/a',
  ),
  ou: documented(
    plainText('an organizational unit of a certificate').optional(),
    'An organizational unit of the certificate.',
    'any',
    'billing',
  ),
  fingerprint: documented(
    fingerprint().optional(),
    'SHA-256 of the certificate, 64 hex digits; colons allowed.',
    'any',
    '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
  ),
};

/** Of a certificate alone. */
export const match = mapping(matchShape);

const clientMatch = mapping({
  ...matchShape,
  cidr: documented(
    network().optional(),
    'The network that the client connects from; alone it is for plain listeners only, and fits no certificate.',
    'any',
    '10.0.0.0/8',
  ),
});

const connectionRate = mapping({
  algorithm: documented(oneOf(RATE_ALGORITHMS).prefault('fixedWindow'), 'How connections are counted.', 'fixedWindow', 'tokenBucket'),
  limit: documented(
    wholeNumber(1, 1_000_000, 'connections'),
    'Connections per window; at most 100000 with slidingWindowLog.',
    undefined,
    100,
  ),
  window: documented(duration(1, DAY_MS).prefault('1s'), 'The time that limit counts for.', '1s', '1m'),
  burst: documented(
    wholeNumber(1, 1_000_000, 'connections').optional(),
    'Bucket size of tokenBucket and leakyBucket; with leakyBucket and delay, how many may wait. In connections.',
    'limit',
    20,
  ),
  action: documented(
    oneOf(['reset', 'close', 'delay']).prefault('reset'),
    'What a connection over the limit gets: a TCP reset, a TLS close, or a wait.',
    'reset',
    'delay',
  ),
  maxDelay: documented(duration(0, 60_000).prefault('5s'), 'With delay: a connection that would wait longer is refused.', '5s', '1s'),
});

export const client = mapping({
  clientId: documented(
    name('a name for the client'),
    'Unique; without match it must equal the common name, a DNS name or a URI of the certificate.',
    undefined,
    'clientA.bardomain.com',
  ),
  match: documented(clientMatch.optional(), 'Who is this client; every key given must match.', 'by clientId', { ou: 'billing' }),
  allowedTargetGroup: documented(
    name('the name of a target group').optional(),
    'The one group that the client may reach; or give allowedTargetGroups.',
    'allowedTargetGroups',
    'FrontEndService',
  ),
  allowedTargetGroups: documented(
    list(name('the name of a target group'), 'target groups').min(1, expecting('at least one target group')).optional(),
    'The groups that the client may reach; or give allowedTargetGroup.',
    'allowedTargetGroup',
    ['FrontEndService', 'DBService'],
  ),
  requests_per_second: documented(
    wholeNumber(1, 1_000_000, 'connections per second').optional(),
    'New connections per second: short for limits.connectionRate with a fixed window of 1s.',
    'no limit',
    10,
  ),
  limits: documented(
    mapping({
      connectionRate: documented(connectionRate.optional(), 'How many new connections in a time.', 'no limit', { limit: 10, window: '1s' }),
      concurrentConnections: documented(
        wholeNumber(1, MAX_CONNECTIONS, 'connections').optional(),
        'Connections that the client may hold at once.',
        'no limit',
        50,
      ),
      bandwidth: documented(
        mapping({
          upload: documented(bytesPerSecond().optional(), 'Bytes per second from the client.', 'no limit', '10MB'),
          download: documented(bytesPerSecond().optional(), 'Bytes per second to the client.', 'no limit', 1_000_000),
        }).optional(),
        'Bytes per second, over all connections of the client.',
        'no limit',
        { download: '10MB' },
      ),
      shadow: documented(flag().prefault(false), 'Count what these limits would refuse or slow down, and do neither.', 'false', true),
    }).optional(),
    'What the client may use.',
    'no limits',
    { concurrentConnections: 50 },
  ),
});

export type MatchInFile = z.output<typeof match>;
export type ClientMatchInFile = z.output<typeof clientMatch>;
