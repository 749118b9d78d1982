import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import type { Client, MethodDefinition } from '@grpc/grpc-js';
import { SERVED } from '../../src/admin/server.ts';
import { ErrorInfo } from '../../src/gen/google/rpc/error_details.ts';
import {
  ServerReflectionClient,
  type ServerReflectionRequest,
  type ServerReflectionResponse,
  ServerReflectionService,
} from '../../src/gen/grpc/reflection/v1/reflection.ts';
import { ServerReflectionService as ServerReflectionAlphaService } from '../../src/gen/grpc/reflection/v1alpha/reflection.ts';
import { startAdmin, type TestAdmin } from '../support/admin-server.ts';
import { temporaryFolder } from '../support/temp-dir.ts';

const BUF = path.join(path.dirname(createRequire(import.meta.url).resolve('@bufbuild/buf/package.json')), 'bin/buf');

/** Runs `buf curl` as this certificate; the working folder has no .proto files, so all that it knows it learns by reflection. */
async function bufCurl(t: TestContext, admin: TestAdmin, as: string, ...args: readonly string[]) {
  const folder = await temporaryFolder(t);
  const { caCert, user } = await admin.ca.writeTo(folder, { user: await admin.certificate(as) });
  const tls = ['--cacert', caCert, '--cert', user.certificate, '--key', user.privateKey];
  const command = [BUF, 'curl', '--protocol', 'grpc', ...tls, ...args.map((arg) => arg.replace('ADMIN', `https://${admin.target}`))];
  return promisify(execFile)(process.execPath, command, { cwd: folder, timeout: 60_000 }).then(
    ({ stdout }) => ({ ok: true, stdout, stderr: '' }),
    (error: Error & { stdout: string; stderr: string }) => ({ ok: false, stdout: error.stdout, stderr: error.stderr }),
  );
}

test('buf curl finds every service and calls them knowing nothing else', async (t) => {
  const admin = await startAdmin(t);
  const listed = await bufCurl(t, admin, 'viewer', '--list-services', 'ADMIN');
  assert.deepEqual(listed.stdout.trim().split('\n').sort(), [
    'grpc.health.v1.Health',
    'grpc.reflection.v1.ServerReflection',
    'grpc.reflection.v1alpha.ServerReflection',
    'lb.admin.v1.AdminService',
  ]);

  const called = await bufCurl(t, admin, 'viewer', 'ADMIN/lb.admin.v1.AdminService/GetState');
  assert.equal(called.stderr, '');
  assert.deepEqual(
    JSON.parse(called.stdout).targetGroups.map(({ name }: { name: string }) => name),
    ['db', 'web'],
  );

  const health = await bufCurl(t, admin, 'viewer', 'ADMIN/grpc.health.v1.Health/Check');
  assert.deepEqual(JSON.parse(health.stdout), { status: 'SERVING' });

  const server = JSON.stringify({ targetGroup: 'web', server: { address: '127.0.0.1:9999', weight: 3 } });
  const added = await bufCurl(t, admin, 'operator', '-d', server, 'ADMIN/lb.admin.v1.AdminService/AddUpstreamServer');
  assert.deepEqual(JSON.parse(added.stdout), { revision: '2' });
});

test('buf curl shows a refusal with its details, and gets nothing by reflection without a role', async (t) => {
  const admin = await startAdmin(t);
  const body = JSON.stringify({ targetGroup: 'nope', server: '127.0.0.1:1' });
  const unknown = await bufCurl(t, admin, 'operator', '-d', body, 'ADMIN/lb.admin.v1.AdminService/RemoveUpstreamServer');
  assert.equal(unknown.ok, false);
  const { code, details } = JSON.parse(unknown.stderr);
  assert.equal(code, 'not_found');
  assert.equal(details[0].type, 'google.rpc.ErrorInfo');
  assert.equal(ErrorInfo.decode(Buffer.from(details[0].value, 'base64')).reason, 'TARGET_GROUP_NOT_FOUND');

  const stranger = await bufCurl(t, admin, 'clientA', '--list-services', 'ADMIN');
  assert.equal(stranger.ok, false);
  assert.equal(stranger.stdout, '');
  assert.match(stranger.stderr, /opens nothing here/);
});

/** Asks on one stream and gathers the answers in order. */
function reflect(
  client: Client,
  method: MethodDefinition<ServerReflectionRequest, ServerReflectionResponse>,
  requests: readonly NonNullable<ServerReflectionRequest['messageRequest']>[],
): Promise<ServerReflectionResponse['messageResponse'][]> {
  const stream = client.makeBidiStreamRequest(method.path, method.requestSerialize, method.responseDeserialize);
  const answers: ServerReflectionResponse['messageResponse'][] = [];
  stream.on('data', ({ messageResponse }: ServerReflectionResponse) => void answers.push(messageResponse));
  for (const messageRequest of requests) stream.write({ host: '', messageRequest });
  stream.end();
  return new Promise((resolve, reject) => stream.on('end', () => resolve(answers)).on('error', reject));
}

const VERSIONS = {
  v1: ServerReflectionService.serverReflectionInfo,
  v1alpha: ServerReflectionAlphaService.serverReflectionInfo,
} as const;

for (const [version, method] of Object.entries(VERSIONS)) {
  test(`reflection ${version} answers each kind of request, and goes on after one that it cannot answer`, async (t) => {
    const admin = await startAdmin(t);
    const client = await admin.connect(ServerReflectionClient, 'viewer');
    const answers = await reflect(client, method, [
      { $case: 'fileContainingSymbol', value: 'no.such.Symbol' },
      { $case: 'fileByFilename', value: 'no/such.proto' },
      { $case: 'fileContainingExtension', value: { containingType: 'lb.admin.v1.Client', extensionNumber: 1 } },
      { $case: 'allExtensionNumbersOfType', value: 'lb.admin.v1.Client' },
      { $case: 'allExtensionNumbersOfType', value: 'no.such.Type' },
      { $case: 'listServices', value: '' },
      { $case: 'fileByFilename', value: 'lb/admin/v1/admin.proto' },
    ]);
    assert.deepEqual(
      answers.map((answer) => answer?.$case),
      [
        'errorResponse',
        'errorResponse',
        'errorResponse',
        'allExtensionNumbersResponse',
        'errorResponse',
        'listServicesResponse',
        'fileDescriptorResponse',
      ],
    );
    const [unknown] = answers;
    assert.deepEqual(unknown, {
      $case: 'errorResponse',
      value: { errorCode: 5, errorMessage: 'there is no symbol "no.such.Symbol" here' },
    });
    const file = answers.at(-1);
    assert.ok(file?.$case === 'fileDescriptorResponse');
    assert.deepEqual(
      file.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes).name),
      ['lb/admin/v1/admin.proto', 'google/protobuf/duration.proto', 'google/protobuf/field_mask.proto', 'google/protobuf/timestamp.proto'],
      'the file and all that it imports',
    );
  });
}

test('every method that is served, and what it is made of, is found by its name', async (t) => {
  const admin = await startAdmin(t);
  const client = await admin.connect(ServerReflectionClient, 'viewer');
  const methods = SERVED.flatMap((service) => Object.values(service)).map(({ path: method }) => method.slice(1).replace('/', '.'));
  const others = [
    'lb.admin.v1.AdminService',
    'lb.admin.v1.TargetGroup',
    'lb.admin.v1.TargetGroup.health_check',
    'lb.admin.v1.WatchHealthResponse.Kind',
    'lb.admin.v1.Algorithm.ALGORITHM_RANDOM',
    'grpc.reflection.v1.ServerReflectionRequest.message_request',
    'google.rpc.BadRequest.FieldViolation',
    'google.protobuf.Duration',
  ];
  const symbols = [...methods, ...others];
  const answers = await reflect(
    client,
    VERSIONS.v1,
    symbols.map((value) => ({ $case: 'fileContainingSymbol', value })),
  );
  for (const [index, answer] of answers.entries()) assert.equal(answer?.$case, 'fileDescriptorResponse', symbols[index]);
  assert.equal(answers.length, symbols.length);
});
