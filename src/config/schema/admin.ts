/** The admin API and who may do what there. */
import { z } from 'zod';
import { ROLES } from '../../domain/roles.ts';
import { match, matchShape } from './clients.ts';
import { documented, expecting, list, mapping, measured, oneOf } from './fields.ts';
import { listenAddress, plainText } from './text-fields.ts';
import { tlsParams } from './tls.ts';

const roleEntry = measured(
  z.union(
    [plainText('a common name'), match],
    expecting('the common name of a certificate, or a mapping with cn, dns, uri, ou, fingerprint'),
  ),
  'certificate',
  'common names, or mappings',
);
const roleEntries = list(roleEntry, 'certificates');

const rolesByName = mapping({
  viewer: documented(roleEntries.prefault([]), 'Who may read: common names, or mappings with cn, dns, uri, ou, fingerprint.', 'nobody', [
    'dashboard',
  ]),
  operator: documented(roleEntries.prefault([]), 'Who may also change upstream servers.', 'nobody', ['on-call', { ou: 'operations' }]),
  admin: documented(roleEntries.prefault([]), 'Who may do everything.', 'nobody', ['alice']),
});

const roleList = list(
  mapping({
    role: documented(oneOf(ROLES), 'The role that these certificates have.', undefined, 'admin'),
    match: documented(match.optional(), 'Which certificates; or give the keys of match here.', 'the keys given here', { cn: 'alice' }),
    ...matchShape,
  }),
  'roles',
);

export const admin = mapping({
  address: documented(listenAddress().prefault('127.0.0.1:9000'), 'host:port of the admin API.', '127.0.0.1:9000', '127.0.0.1:9000'),
  tls: documented(tlsParams.optional(), 'TLS parameters of the admin API.', 'tlsParams', {
    certificate: 'certs/admin.crt',
    privateKey: 'certs/admin.key',
    caCert: 'certs/adminCA.pem',
  }),
  roles: documented(
    z.union([rolesByName, roleList], expecting('a mapping with viewer, operator, admin')).optional(),
    'Which certificates hold which role.',
    'a certificate whose OU or CN is viewer, operator or admin has that role',
    { admin: ['alice'], viewer: [{ ou: 'support' }] },
  ),
});
