/** Whether the load can ask for more than a balancer can give: the same works without a balancer, straight to the servers. */
import type { Amounts } from './amounts.ts';
import { short } from './spread.ts';
import type { Balancer, Stage } from './stage.ts';
import { measure, WORKS, type Work, warmUp } from './works.ts';

/** Connections, round trips or megabytes a second without a balancer and without TLS. */
export type DirectRates = Readonly<Record<Work, number>>;

/** The servers are measured as if they were a balancer. */
export async function measureDirectly(stage: Stage, amounts: Amounts): Promise<DirectRates> {
  const { servers } = stage;
  const port = Number(servers.addresses[0]?.split(':')[1]);
  const nobody: Balancer = { name: 'direct', pid: servers.pid, target: () => ({ port, tls: undefined }), end: async () => undefined };
  const rates: Record<Work, number> = { connections: 0, roundTrips: 0, download: 0, upload: 0 };
  // The load has compiled its code by the time it comes to the balancers, too.
  await warmUp(nobody, stage, amounts);
  for (const work of WORKS) rates[work] = short((await measure(work, nobody, stage, amounts)).perSecond);
  return rates;
}
