import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Metadata, type ServiceError, status as Status } from '@grpc/grpc-js';
import { explainUnreachable, type Outcome } from '../../../cli/diagnosis.ts';
import { EXIT, refusal } from '../../../cli/errors.ts';
import { BadRequest, ErrorInfo } from '../../../src/gen/google/rpc/error_details.ts';
import { Status as RpcStatus } from '../../../src/gen/google/rpc/status.ts';

function serviceError(code: Status, details: string, packed?: Buffer): ServiceError {
  const metadata = new Metadata();
  if (packed !== undefined) metadata.set('grpc-status-details-bin', packed);
  return Object.assign(new Error(details), { code, details, metadata });
}

const any = (type: string, value: Uint8Array) => ({ typeUrl: `type.googleapis.com/google.rpc.${type}`, value: Buffer.from(value) });

test('field violations are told as field: problem', () => {
  const details = [
    any('ErrorInfo', ErrorInfo.encode(ErrorInfo.fromPartial({ reason: 'INVALID_FIELD' })).finish()),
    any(
      'BadRequest',
      BadRequest.encode({
        fieldViolations: [
          { field: 'server.address', description: 'has no port' },
          { field: 'server.weight', description: 'is above 256' },
        ],
      }).finish(),
    ),
  ];
  const packed = Buffer.from(RpcStatus.encode({ code: 3, message: 'two problems', details }).finish());
  const { message, exitCode } = refusal(serviceError(Status.INVALID_ARGUMENT, 'two problems', packed));
  assert.equal(message, 'refused (INVALID_ARGUMENT): server.address: has no port; server.weight: is above 256');
  assert.equal(exitCode, EXIT.refused);
});

test('details that cannot be read do not hide the status', () => {
  const { message } = refusal(serviceError(Status.NOT_FOUND, 'there is no target group "x"', Buffer.from([0xff, 0xff, 0xff])));
  assert.equal(message, 'refused (NOT_FOUND): there is no target group "x"');
});

test('says how a refusal is met with lbctl', () => {
  assert.match(refusal(serviceError(Status.PERMISSION_DENIED, 'needs admin')).message, /needs admin; use a certificate .*--cert and --key/);
  assert.match(refusal(serviceError(Status.UNIMPLEMENTED, '')).message, /the server did not say why; is lbd older than this lbctl\?/);
});

const NAMED = { addr: 'lb:9000', host: 'lb', expectedName: 'lb', ca: 'ca.pem', cert: 'op.crt', timeoutMs: 1_500 };
const failed = (code: string, stage: 'connect' | 'handshake' | 'admission' = 'handshake', more: object = {}): Outcome => ({
  kind: 'error',
  stage,
  error: Object.assign(new Error('as the platform says'), { code }, more),
});

const EXPLANATIONS: readonly (readonly [Outcome, RegExp])[] = [
  [failed('ECONNREFUSED', 'connect'), /^cannot reach lb:9000: connection refused; is lbd running, and is --addr right\?$/],
  [failed('ENOTFOUND', 'connect'), /the name lb does not resolve/],
  [failed('EHOSTUNREACH', 'connect'), /no route/],
  [failed('DEPTH_ZERO_SELF_SIGNED_CERT'), /not signed by the CA in ca\.pem/],
  [failed('UNABLE_TO_VERIFY_LEAF_SIGNATURE'), /not signed by the CA in ca\.pem/],
  [failed('CERT_HAS_EXPIRED'), /has expired/],
  [
    failed('ERR_TLS_CERT_ALTNAME_INVALID', 'handshake', { cert: { subjectaltname: 'DNS:a.example' } }),
    /not for lb \(it is for DNS:a\.example\).*--server-name/,
  ],
  [failed('ERR_SSL_WRONG_VERSION_NUMBER'), /does not speak TLS/],
  [failed('ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'admission'), /does not accept the client certificate in op\.crt/],
  [failed('ERR_SSL_TLSV1_ALERT_UNKNOWN_CA'), /does not accept the client certificate in op\.crt/],
  [failed('ECONNRESET', 'admission'), /does not accept the client certificate in op\.crt/],
  [failed('ECONNRESET', 'handshake'), /closed the connection; is --addr the address of the admin API\?/],
  [failed('ERR_SSL_SOMETHING_ELSE', 'handshake', { reason: 'no shared cipher' }), /the TLS handshake failed: no shared cipher$/],
  [{ kind: 'closed', stage: 'admission' }, /does not accept the client certificate in op\.crt/],
  [{ kind: 'not_grpc' }, /TLS but not gRPC/],
  [{ kind: 'timeout', stage: 'connect' }, /no answer within 1\.5s/],
  [{ kind: 'timeout', stage: 'handshake' }, /accepts connections but says nothing within 1\.5s/],
];

test('every way not to reach the server has its own line', () => {
  for (const [outcome, expected] of EXPLANATIONS) {
    const { message, exitCode } = explainUnreachable(outcome, NAMED);
    assert.match(message, expected);
    assert.equal(exitCode, EXIT.unreachable);
  }
});

test('without --ca, advises to give one', () => {
  assert.match(
    explainUnreachable(failed('SELF_SIGNED_CERT_IN_CHAIN'), { ...NAMED, ca: undefined }).message,
    /public CA; give its CA with --ca/,
  );
});
