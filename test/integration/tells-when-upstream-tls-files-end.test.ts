import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { AdminServiceService, UpdateTargetGroupRequest } from '../../src/gen/lb/admin/v1/admin.ts';
import { ask } from '../support/admin-server.ts';
import { createTestCa } from '../support/certificates.ts';
import { startDaemon } from '../support/daemon.ts';
import { adminOf } from '../support/daemon-clients.ts';
import { parseMetrics } from '../support/prometheus.ts';
import { uncheckedGroup } from '../support/running-balancer.ts';
import { temporaryFolder } from '../support/temp-dir.ts';

const endOf = (pem: string) => new X509Certificate(pem).validToDate.getTime();

test('the metrics say when what servers are shown and held against ends, after reloads and changes too', async (t) => {
  const [old, young] = [await createTestCa({ name: 'old CA' }), await createTestCa({ name: 'young CA' })];
  const folder = await temporaryFolder(t);
  const shown = await old.issue({ cn: 'portcullis', days: 3 });
  const { lb } = await old.writeTo(folder, { lb: shown });
  const ca = path.join(folder, 'servers.pem');
  await writeFile(ca, young.caPem + old.caPem);
  const daemon = await startDaemon(t, {
    config: {
      targetGroups: [
        uncheckedGroup('web', ['127.0.0.1:9'], { upstreamTls: { ca, ...lb } }),
        uncheckedGroup('blind', ['127.0.0.1:9'], { upstreamTls: { ca, insecureSkipVerify: true } }),
      ],
      metrics: { address: '127.0.0.1:0' },
    },
  });
  const admin = adminOf(t, daemon);
  const { metrics } = await daemon.waitForLog(({ msg }) => msg === 'ready');
  const ends = async () => {
    const families = parseMetrics(await (await fetch(`http://${metrics}/metrics`)).text());
    return families
      .flatMap(({ series }) => series)
      .filter(({ name }) => name === 'portcullis_tls_end_timestamp_seconds')
      .filter(({ labels }) => labels.kind?.startsWith('upstream_'))
      .map(({ labels, value }) => [labels.used_by, labels.kind, labels.file, value * 1000]);
  };
  const first = Math.min(endOf(old.caPem), endOf(young.caPem));
  assert.deepEqual(await ends(), [
    ['web', 'upstream_ca', ca, first],
    ['web', 'upstream_certificate', lb.certificate, endOf(shown.certPem)],
  ]);

  const renewed = await old.issue({ cn: 'portcullis', days: 20 });
  await old.writeTo(folder, { lb: renewed });
  await ask(admin, AdminServiceService.reloadCertificates, { allowSelf: false });
  assert.deepEqual((await ends())[1], ['web', 'upstream_certificate', lb.certificate, endOf(renewed.certPem)]);

  await ask(
    admin,
    AdminServiceService.updateTargetGroup,
    UpdateTargetGroupRequest.fromPartial({ targetGroup: { name: 'web', upstreamTls: { ca } }, updateMask: ['upstream_tls'] }),
  );
  assert.deepEqual(await ends(), [['web', 'upstream_ca', ca, first]]);
});
