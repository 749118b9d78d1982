/** Where metrics are read. */
import { z } from 'zod';
import { documented, expecting, listenAddress, mapping } from './fields.ts';

export const metrics = mapping({
  address: documented(
    listenAddress(),
    'host:port of the Prometheus endpoint, GET /metrics in plain HTTP: let only your own network reach it.',
    undefined,
    '127.0.0.1:9100',
  ),
  dashboard: documented(
    z.boolean(expecting('true or false')).prefault(false),
    'Serves a read-only page for people there too, at GET /: whoever reaches the address sees names, addresses and rates.',
    'false',
    true,
  ),
});
