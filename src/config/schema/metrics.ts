/** Where metrics are read. */
import { documented, flag, list, mapping } from './fields.ts';
import { hostName, listenAddress } from './text-fields.ts';

export const metrics = mapping({
  address: documented(
    listenAddress(),
    'host:port of the Prometheus endpoint, GET /metrics in plain HTTP: let only your own network reach it.',
    undefined,
    '127.0.0.1:9100',
  ),
  dashboard: documented(
    flag().prefault(false),
    'Serves a read-only page for people there too, at GET /: whoever reaches the address sees names, addresses and rates.',
    'false',
    true,
  ),
  hosts: documented(
    list(hostName(), 'host names').prefault([]),
    'Host names under which it is asked for. Those of others are answered with 421: a page from elsewhere must not read what is here ' +
      '(DNS rebinding).',
    'addresses, "localhost", the name in address and the name of the machine always do',
    ['lb.example.com'],
  ),
});
