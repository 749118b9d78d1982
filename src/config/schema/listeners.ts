/** Where clients connect. */
import { documented, list, listenAddress, mapping, name, plainText, serverName } from './fields.ts';
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
