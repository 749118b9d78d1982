/** Where metrics are read. */
import { documented, flag, mapping } from './fields.ts';
import { listenAddress } from './text-fields.ts';

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
});
