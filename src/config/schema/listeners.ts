/** Where clients connect. */
import { documented, flag, list, MAX_CONNECTIONS, mapping, wholeNumber } from './fields.ts';
import { listenAddress, name, network, plainText, serverName } from './text-fields.ts';
import { tlsParams } from './tls.ts';

const route = mapping({
  sni: documented(
    serverName().optional(),
    'Server name that the client asks for; *. in front stands for one label.',
    'any',
    'db.example.com',
  ),
  alpn: documented(
    plainText('an ALPN protocol such as "h2"', 255).optional(),
    'Application protocol that was agreed on.',
    'any',
    'postgresql',
  ),
  targetGroup: documented(name('the name of a target group'), 'Where such connections go.', undefined, 'DBService'),
});

export const listener = mapping({
  name: documented(name('a name for the listener'), 'Unique; the one made by listenAddress is called default.', undefined, 'public'),
  address: documented(listenAddress(), 'host:port to listen on; port 0 lets the system choose.', undefined, '0.0.0.0:8443'),
  tls: documented(tlsParams.optional(), 'TLS parameters of this listener.', 'tlsParams', {
    certificate: 'certs/public.crt',
    privateKey: 'certs/public.key',
    caCert: 'certs/rootCA.pem',
  }),
  plain: documented(
    flag().prefault(false),
    'No TLS: a client is known by match.cidr, the network it connects from. For private networks only.',
    'false',
    true,
  ),
  alpn: documented(
    list(plainText('an ALPN protocol such as "h2"', 255), 'ALPN protocols').prefault([]),
    'Application protocols that are offered besides those of the routes, most wanted first.',
    'those of the routes',
    ['h2', 'http/1.1'],
  ),
  acceptProxyProtocol: documented(
    list(network(), 'networks').prefault([]),
    'Networks whose connections begin with a PROXY protocol header (v1 or v2), which says who the client is; from others it is refused.',
    'none',
    ['10.0.0.0/8'],
  ),
  perAddress: documented(
    mapping({
      connectionsPerSecond: documented(
        wholeNumber(1, 1_000_000, 'connections per second').optional(),
        'New connections per second from one address.',
        'no limit',
        50,
      ),
      burst: documented(
        wholeNumber(1, 1_000_000, 'connections').optional(),
        'How many may come at once before connectionsPerSecond tells.',
        'connectionsPerSecond',
        100,
      ),
      pendingHandshakes: documented(
        wholeNumber(1, MAX_CONNECTIONS, 'handshakes').optional(),
        'Unfinished TLS handshakes of one address.',
        'no limit',
        20,
      ),
      concurrentConnections: documented(
        wholeNumber(1, MAX_CONNECTIONS, 'connections').optional(),
        'Connections that one address may hold, in the handshake or served.',
        'no limit',
        1000,
      ),
    }).optional(),
    'What one source address may do before it is known who it is; an IPv6 /64 counts as one address.',
    'no limits',
    { connectionsPerSecond: 50, pendingHandshakes: 20 },
  ),
  targetGroup: documented(
    name('the name of a target group').optional(),
    'Every connection of this listener goes to this group.',
    'decided by routes, then by the client',
    'FrontEndService',
  ),
  routes: documented(list(route, 'routes').prefault([]), 'The first that matches decides where a connection goes.', 'none', [
    { sni: 'db.example.com', targetGroup: 'DBService' },
  ]),
});
