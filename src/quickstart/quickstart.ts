/** `lbd quickstart`: certificates, two servers and a balancer in one go, with the commands to try. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import path from 'node:path';
import type { Config } from '../config/config.ts';
import { parseConfig } from '../config/parse.ts';
import { commandsToTry, placeOf } from './commands.ts';
import { SAMPLE_SERVERS, startSampleServers } from './sample-servers.ts';

/** Ports to listen on; 0 is one of the system's choice. */
export interface QuickstartPorts {
  /** The balancer's, on every address of the machine. */
  readonly port: number;
  /** The admin API's, on loopback. */
  readonly adminPort: number;
  /** The first sample server's, on loopback; the second has the next one. */
  readonly samplePort: number;
}

export const QUICKSTART_PORTS: QuickstartPorts = { port: 8080, adminPort: 9000, samplePort: SAMPLE_SERVERS.startPort };

/** What the quickstart needs of a daemon that is ready. */
export interface RunningDaemon {
  /** Where it listens, as `host:port`. */
  readonly listeners: readonly { readonly address: string }[];
  readonly admin: string;
  stop(): Promise<void>;
}

export interface QuickstartOptions {
  /** Resolves when the daemon is ready. */
  readonly start: (config: Config) => Promise<RunningDaemon>;
  readonly print: (line: string) => void;
  /** Certificates are made in a folder of this one, and the printed commands are to be run here. */
  readonly cwd: string;
  readonly ports?: Partial<QuickstartPorts>;
}

/** Everything that the quickstart has started. */
export interface RunningQuickstart {
  /** Stops the daemon, then the sample servers. */
  stop(): Promise<void>;
}

/** The quickstart cannot begin: a port is taken, or the certificates are not in order. The message is one line and says what to do. */
export class QuickstartError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'QuickstartError';
  }
}

/** @throws QuickstartError, and whatever `start` throws; nothing that was started is left behind. */
export async function runQuickstart({ start, print, cwd, ports: chosen }: QuickstartOptions): Promise<RunningQuickstart> {
  // Not at the top: lbd reads this file at every start, and what makes certificates is large.
  const { ensureDevelopmentCertificates } = await import('../../certs/development-ca.ts');
  const ports = { ...QUICKSTART_PORTS, ...chosen };
  const place = placeOf(cwd);
  await refuseTakenPorts(ports);
  const { made } = await orExplain(ensureDevelopmentCertificates(path.resolve(cwd, place.certs)));
  if (made.length > 0) print(`development certificates in ${place.certs}/: made ${made.join(', ')}`);
  const servers = await orExplain(startSampleServers({ ...SAMPLE_SERVERS, startPort: ports.samplePort }));
  try {
    const daemon = await start(parseConfig(configText(place.certs, ports, servers.addresses), path.join(cwd, 'quickstart.yaml'), { cwd }));
    const port = portOf(daemon.listeners[0]?.address ?? '');
    print(`sample servers on ${servers.addresses.join(' and ')}`);
    print(`balancer on port ${port}, admin API on ${daemon.admin}\n`);
    for (const line of commandsToTry(place, `127.0.0.1:${port}`, daemon.admin)) print(line);
    return {
      stop: async () => {
        await daemon.stop();
        await servers.close();
      },
    };
  } catch (error) {
    await servers.close();
    throw error;
  }
}

async function orExplain<T>(step: Promise<T>): Promise<T> {
  try {
    return await step;
  } catch (error) {
    throw new QuickstartError(error instanceof Error ? error.message : String(error), error);
  }
}

function configText(certs: string, { port, adminPort }: QuickstartPorts, servers: readonly string[]): string {
  return `
listenAddress: "0.0.0.0:${port}"
tlsParams:
  certificate: "${certs}/loadbalancer.crt"
  privateKey: "${certs}/loadbalancer.key"
  caCert: "${certs}/rootCA.pem"
admin:
  address: "127.0.0.1:${adminPort}"
  roles:
    admin: [{ou: admin}]
store:
  kind: memory
targetGroups:
  - name: "FrontEndService"
    upstreamServers: [${servers.map((server) => `"${server}"`).join(', ')}]
clients:
  - clientId: "clientA.bardomain.com"
    allowedTargetGroup: "FrontEndService"
    requests_per_second: 10
`;
}

/** Before anything is made or started. All that are taken, in one line. */
async function refuseTakenPorts({ port, adminPort, samplePort }: QuickstartPorts): Promise<void> {
  const sample = (index: number) => (samplePort === 0 ? 0 : samplePort + index);
  const needs = [
    { port, host: '0.0.0.0', who: 'the balancer', flag: '--port' },
    { port: adminPort, host: '127.0.0.1', who: 'the admin API', flag: '--admin-port' },
    { port: sample(0), host: '127.0.0.1', who: 'the first sample server', flag: '--sample-port' },
    { port: sample(1), host: '127.0.0.1', who: 'the second sample server', flag: '--sample-port' },
  ];
  const taken: string[] = [];
  const flags = new Set<string>();
  for (const need of needs) {
    const why = await whyNot(need.host, need.port);
    if (why === undefined) continue;
    taken.push(`port ${need.port} is ${why} (for ${need.who})`);
    flags.add(`${need.flag} PORT`);
  }
  if (taken.length === 0) return;
  const them = taken.length === 1 ? 'it' : 'them';
  throw new QuickstartError(`${taken.join(', ')}: free ${them}, or choose another with ${[...flags].join(' ')}`);
}

/** undefined: the port can be had. */
async function whyNot(host: string, port: number): Promise<string | undefined> {
  const server = createServer();
  try {
    server.listen(port, host);
    await once(server, 'listening');
    return undefined;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'EADDRINUSE') return 'in use';
    if (code === 'EACCES') return 'not allowed to you';
    throw error;
  } finally {
    server.close();
  }
}

function portOf(address: string): string {
  return address.slice(address.lastIndexOf(':') + 1);
}
