/** The balancer in this process with two workers, on loopback, for benchmarks of its limits. */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pino } from 'pino';
import { CertificateAuthority, type KeyAndCertificate, validFor } from '../certs/issuing.ts';
import { parseConfig } from '../src/config/parse.ts';
import { LoadBalancer } from '../src/load-balancer.ts';

export interface LoopbackBalancer {
  readonly lb: LoadBalancer;
  readonly port: number;
  readonly caPem: string;
  issue(commonName: string): Promise<KeyAndCertificate>;
  stop(): Promise<void>;
}

/** `listener` are further keys of the only listener; `config` those beside listeners, TLS and the store. */
export async function loopbackBalancer(config: object, listener: object = {}): Promise<LoopbackBalancer> {
  const folder = await mkdtemp(path.join(tmpdir(), 'portcullis-bench-'));
  const authority = await CertificateAuthority.create('bench CA', validFor(1, Date.now()));
  const issue = (commonName: string, purpose: 'client' | 'server' = 'client') =>
    authority.issue({
      commonNames: [commonName],
      organizationalUnits: [],
      dnsNames: purpose === 'server' ? ['localhost'] : [],
      uriNames: [],
      ipAddresses: [],
      purpose,
      validity: validFor(1, Date.now()),
    });
  const { certPem, keyPem } = await issue('loadbalancer', 'server');
  const file = (name: string) => path.join(folder, name);
  for (const [name, text] of [
    ['ca.pem', authority.certPem],
    ['lb.crt', certPem],
    ['lb.key', keyPem],
  ] as const) {
    await writeFile(file(name), text);
    await chmod(file(name), 0o600);
  }
  const tls = { certificate: file('lb.crt'), privateKey: file('lb.key'), caCert: file('ca.pem') };
  const listeners = [{ name: 'main', address: '127.0.0.1:0', tls, ...listener }];
  const whole = { tlsParams: tls, listeners, workers: 2, logLevel: 'error', store: { kind: 'memory' }, ...config };
  const lb = await LoadBalancer.start(parseConfig(JSON.stringify(whole), file('lb.yaml')), { log: pino({ level: 'error' }) });
  return {
    lb,
    port: Number(lb.listeners()[0]?.address.split(':').at(-1)),
    caPem: authority.certPem,
    issue,
    stop: async () => {
      await lb.stop(0);
      await rm(folder, { recursive: true, force: true });
    },
  };
}
