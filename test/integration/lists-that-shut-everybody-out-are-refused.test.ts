import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { status as Code } from '@grpc/grpc-js';
import { AdminServiceService as rpc } from '../../src/gen/lb/admin/v1/admin.ts';
import { ask, refused } from '../support/admin-server.ts';
import { applyConfig, configWith } from '../support/apply-config.ts';
import { certificate, ExtendedKeyUsage, Extension, revocationList, root } from '../support/certificate-chains.ts';
import { createTestCa } from '../support/certificates.ts';
import { startDaemon } from '../support/daemon.ts';
import { adminOf, connectTo, roundTrip } from '../support/daemon-clients.ts';
import { echoServer } from '../support/echo-servers.ts';
import { lbd } from '../support/lbd.ts';
import { uncheckedGroup } from '../support/running-balancer.ts';
import { temporaryFolder } from '../support/temp-dir.ts';

const DELTA = { extensions: [new Extension('2.5.29.27', true, Buffer.from('020101', 'hex'))] };

test('a list that OpenSSL refuses everybody with, or ignores, is refused wherever lists are read, and nobody notices', async (t) => {
  const [serving, folder, echo] = [await createTestCa(), await temporaryFolder(t), await echoServer(t)];
  const [clients, rekeyed] = [await root('clients'), await root('clients')];
  const client = (name: string) => certificate({ name, issuer: clients, ca: false, purposes: [ExtendedKeyUsage.clientAuth] });
  const [alice, thief] = [await client('alice'), await client('thief')];
  const [caCert, crl, other] = ['clients.pem', 'clients.crl', 'other.crl'].map((name) => path.join(folder, name));
  assert.ok(caCert !== undefined && crl !== undefined && other !== undefined);
  const good = await revocationList(clients, clients, [thief]);
  await writeFile(caCert, clients.certPem);
  await writeFile(crl, good);
  const own = { certificate: 'certs/loadbalancer.crt', privateKey: 'certs/loadbalancer.key' };
  const daemon = await startDaemon(t, {
    ca: serving,
    folder,
    config: {
      workers: 2,
      tlsParams: { ...own, caCert, crl },
      admin: { address: '127.0.0.1:0', tls: { ...own, caCert: 'certs/rootCA.pem' } },
      targetGroups: [uncheckedGroup('web', [echo.address])],
      clients: ['alice', 'thief'].map((clientId) => ({ clientId, allowedTargetGroup: 'web' })),
    },
  });
  const admin = adminOf(t, daemon);
  const live = [alice, alice, alice].map((each) => connectTo(t, daemon, each));
  for (const each of live) await roundTrip(each, 'before');

  const useless = {
    'begins at': await revocationList(clients, clients, [], { days: [1, 2] }),
    'is a delta list': await revocationList(clients, clients, [], DELTA),
    'in line \\d+ is a delta list': good + (await revocationList(clients, clients, [thief], DELTA)),
    'is not signed by "CN=clients"': await revocationList(clients, rekeyed, []),
  };
  for (const [index, [says, list]] of Object.entries(useless).entries()) {
    const expected = new RegExp(`crl \\S+clients\\.crl: the list of "CN=clients" ${says}`);
    await writeFile(crl, list);
    const reload = await refused(ask(admin, rpc.reloadCertificates, { allowSelf: false }));
    assert.equal(reload.code, Code.FAILED_PRECONDITION, says);
    assert.match(reload.message, expected);

    daemon.signal('SIGHUP');
    let seen = 0;
    const isRefusal = (msg: unknown) => msg === 'certificates not reloaded: the ones in force stay';
    // The call before says so too.
    const line = await daemon.waitForLog(({ msg }) => isRefusal(msg) && ++seen === 2 * (index + 1));
    assert.match(String(line['why']), expected);

    await writeFile(other, list);
    const more = { name: 'more', address: '127.0.0.1:0', tls: { ...own, caCert, crl: other }, targetGroup: 'web' };
    const applied = await refused(applyConfig(admin, configWith(daemon, { listenAddress: undefined, listeners: [more] })));
    assert.equal(applied.code, Code.INVALID_ARGUMENT, says);
    assert.match(applied.message, new RegExp(`other\\.crl: the list of "CN=clients" ${says}`));

    for (const each of live) await roundTrip(each, `after ${index}`);
    await roundTrip(connectTo(t, daemon, alice), 'anew');
    const refusedClient = connectTo(t, daemon, thief);
    assert.notEqual((await refusedClient.ending).how, 'failed');
    assert.equal(refusedClient.received().length, 0, 'the list in force stays');
  }

  const config = path.join(folder, 'admin.yaml');
  await writeFile(config, configWith(daemon, { admin: { address: '127.0.0.1:0', tls: { ...own, caCert, crl } } }));
  for (const command of ['check', 'start']) {
    const { code, stderr, stdout } = await lbd([command, '--config', config]);
    assert.notEqual(code, 0, command);
    for (const key of ['tlsParams.crl', 'admin.tls.crl'])
      assert.match(
        stdout + stderr,
        new RegExp(`: ${key}: \\S+clients\\.crl: the list of "CN=clients" is not signed by "CN=clients" of `),
        command,
      );
  }

  await writeFile(crl, await revocationList(clients, clients, [alice]));
  assert.equal(
    (await ask(admin, rpc.reloadCertificates, { allowSelf: false })).connectionsClosed,
    BigInt(live.length + Object.keys(useless).length),
  );
});
