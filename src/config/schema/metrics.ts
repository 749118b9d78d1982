/** Where metrics are read. */
import { documented, listenAddress, mapping } from './fields.ts';

export const metrics = mapping({
  address: documented(
    listenAddress(),
    'host:port of the Prometheus endpoint, GET /metrics in plain HTTP: let only your own network reach it.',
    undefined,
    '127.0.0.1:9100',
  ),
});
