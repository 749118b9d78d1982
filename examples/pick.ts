/** The balancing alone: which of these servers is next? No sockets, no threads; health and connections are yours. */
import { createBalancer, pick } from '../src/index.ts'; // 'portcullis' where it is installed

class Backend {
  readonly name: string;
  readonly weight: number;
  isUp = true;
  connections = 0;

  constructor(name: string, weight: number) {
    this.name = name;
    this.weight = weight;
  }

  active(): number {
    return this.connections;
  }
}

const [small, large, down] = [new Backend('small', 1), new Backend('large', 3), new Backend('down', 9)];
down.isUp = false;

const servers = [small, large, down];
const balancer = createBalancer<Backend>('weightedLeastConnections');
for (let request = 1; request <= 8; request++) {
  const server = pick(balancer, servers, ({ isUp }) => isUp);
  if (server !== undefined) server.connections++;
}
for (const { name, connections } of servers) console.log(`${name}: ${connections}`);
