/** A load balancer inside a program of your own. Run it where `npm run certs` has made its certificates; Ctrl-C ends it. */
import { createLoadBalancer } from '../src/index.ts'; // 'portcullis' where it is installed

const lb = await createLoadBalancer({
  listenAddress: '127.0.0.1:0',
  tlsParams: { certificate: 'certs/loadbalancer.crt', privateKey: 'certs/loadbalancer.key', caCert: 'certs/rootCA.pem' },
  targetGroups: [{ name: 'FrontEndService', upstreamServers: ['127.0.0.1:8081'] }],
  clients: [{ clientId: 'clientA.bardomain.com', allowedTargetGroup: 'FrontEndService', requests_per_second: 10 }],
});
console.log(`listening on ${lb.listeners()[0]?.address}`);

lb.journal.subscribe(({ group, server, to, cause }) => console.log(`${group}: ${server} is ${to} (${cause})`));

await lb.addUpstreamServer('FrontEndService', '127.0.0.1:8082', { weight: 2 });
await lb.removeUpstreamServer('FrontEndService', '127.0.0.1:8081');
await lb.addClient({ clientId: 'clientB.bardomain.com', allowedTargetGroup: 'FrontEndService' });

process.once('SIGINT', async () => {
  await lb.stop();
  console.log(`served ${lb.stats.totals().accepted} connections`);
});

const { connectionsClosed } = await lb.removeClient('clientA.bardomain.com');
console.log(`revision ${lb.snapshot.revision}, ${connectionsClosed} connections closed`);
