/** An admin API that answers what the test says: for replies and refusals that the real one gives only in rare states. */
import type { TestContext } from 'node:test';
import { status as Code, Server, ServerCredentials, type UntypedHandleCall } from '@grpc/grpc-js';
import { AdminServiceService } from '../../src/gen/lb/admin/v1/admin.ts';
import { createTestCa } from './certificates.ts';
import { lbctlEnv } from './lbctl.ts';
import { temporaryFolder } from './temp-dir.ts';

export type Handlers = Partial<Record<keyof typeof AdminServiceService, UntypedHandleCall>>;

/** Serves these handlers behind mutual TLS on loopback; returns the environment with which lbctl reaches them. */
export async function startScriptedAdmin(t: Pick<TestContext, 'after'>, handlers: Handlers): Promise<Readonly<Record<string, string>>> {
  const ca = await createTestCa();
  const { certPem, keyPem } = await ca.issueServer();
  const server = new Server();
  const unimplemented: UntypedHandleCall = (_call: unknown, callback: unknown) => {
    if (typeof callback === 'function') callback({ code: Code.UNIMPLEMENTED, details: 'not in this script' });
  };
  const names = Object.keys(AdminServiceService);
  server.addService(AdminServiceService, { ...Object.fromEntries(names.map((name) => [name, unimplemented])), ...handlers });
  const identity = { cert_chain: Buffer.from(certPem), private_key: Buffer.from(keyPem) };
  const tls = ServerCredentials.createSsl(Buffer.from(ca.caPem), [identity], true);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', tls, (error, bound) => (error === null ? resolve(bound) : reject(error)));
  });
  t.after(() => server.forceShutdown());
  const files = await ca.writeTo(await temporaryFolder(t), { operator: await ca.issue({ cn: 'operator' }) });
  return lbctlEnv(`127.0.0.1:${port}`, files.caCert, files.operator);
}
