/** Errors of the domain and of the admin API -> canonical gRPC codes with google.rpc details. */
import { status as Code, Metadata, type StatusObject } from '@grpc/grpc-js';
import { PlannerUnavailableError } from '../controlplane/planner.ts';
import { RequestIdReusedError, RevisionConflictError, StoreUnavailableError } from '../controlplane/store/store.ts';
import { DomainError, type DomainErrorCode } from '../domain/errors.ts';
import { BadRequest, ErrorInfo } from '../gen/google/rpc/error_details.ts';
import { Status } from '../gen/google/rpc/status.ts';

/** Of a message, in characters. */
const MAX_MESSAGE = 500;
/** Says in ErrorInfo whose reasons these are. */
const ERROR_DOMAIN = 'portcullis';

/** A call that was refused for a cause that the domain does not know. `reason` is a stable code in upper case. */
export class AdminError extends Error {
  readonly code: Code;
  readonly reason: string;
  readonly violations: readonly Violation[];

  constructor(code: Code, reason: string, message: string, violations: readonly Violation[] = []) {
    super(message);
    this.name = 'AdminError';
    this.code = code;
    this.reason = reason;
    this.violations = violations;
  }
}

/** As many of the problems as a message has room for, at least the first; the details of the status have room for more. */
export function inOneLine(violations: readonly Violation[]): string {
  let text = '';
  for (const [index, { field, description }] of violations.entries()) {
    const longer = `${text}${index === 0 ? '' : '; '}${field}: ${description}`;
    if (index > 0 && longer.length > MAX_MESSAGE - ' (and 1000000 more)'.length) return `${text} (and ${violations.length - index} more)`;
    text = longer;
  }
  return text;
}

/** A refusal as it goes over the wire and into the log. */
export interface Refusal {
  readonly code: Code;
  /** A stable code in upper case, for programs. */
  readonly reason: string;
  /** One sentence for people. */
  readonly message: string;
  /** The path to the field at fault, as the .proto files name it; empty when no single field is. */
  readonly field: string;
  /** Every problem of the request, where it may have more than one. */
  readonly violations?: readonly Violation[];
}

/** One problem of a request. */
export interface Violation {
  readonly field: string;
  readonly description: string;
}

/** What to answer to an error; undefined for a defect, whose text nobody outside may see. */
export function refusalOf(error: unknown): Refusal | undefined {
  if (error instanceof AdminError) {
    const { code, reason, message, violations } = error;
    return { code, reason, message: presentable(message), field: '', violations };
  }
  if (error instanceof RevisionConflictError) {
    return { code: Code.ABORTED, reason: 'REVISION_CONFLICT', message: error.message, field: 'expected_revision' };
  }
  if (error instanceof RequestIdReusedError) {
    return { code: Code.FAILED_PRECONDITION, reason: 'REQUEST_ID_REUSED', message: presentable(error.message), field: 'request_id' };
  }
  if (error instanceof StoreUnavailableError) {
    return { code: Code.UNAVAILABLE, reason: 'STORE_UNAVAILABLE', message: presentable(error.message), field: '' };
  }
  if (error instanceof PlannerUnavailableError) {
    return { code: Code.UNAVAILABLE, reason: 'PLANNER_UNAVAILABLE', message: error.message, field: '' };
  }
  if (error instanceof DomainError) {
    return { code: CODES[error.code], reason: reasonFor(error), message: presentable(error.message), field: protoPath(error.field) };
  }
  return undefined;
}

/** What a defect looks like from outside. */
export const INTERNAL_ERROR: Refusal = {
  code: Code.INTERNAL,
  reason: 'INTERNAL',
  message: 'this is a defect in the load balancer; its log has the stack',
  field: '',
};

/** The refusal as a gRPC status; the details are in the trailer grpc-status-details-bin. */
export function statusOf({ code, reason, message, field, violations = [] }: Refusal): StatusObject {
  const info = ErrorInfo.fromPartial({ reason, domain: ERROR_DOMAIN, metadata: field === '' ? {} : { field } });
  const details = [packed('google.rpc.ErrorInfo', ErrorInfo.encode(info).finish())];
  const own = code === Code.INVALID_ARGUMENT && field !== '' ? [{ field, description: message }] : [];
  const fieldViolations = [...own, ...boundedViolations(violations)];
  if (fieldViolations.length > 0) details.push(packed('google.rpc.BadRequest', BadRequest.encode({ fieldViolations }).finish()));
  const metadata = new Metadata();
  metadata.set('grpc-status-details-bin', Buffer.from(Status.encode({ code, message, details }).finish()));
  return { code, details: message, metadata };
}

const CODES: Readonly<Record<DomainErrorCode, Code>> = {
  invalid: Code.INVALID_ARGUMENT,
  not_found: Code.NOT_FOUND,
  already_exists: Code.ALREADY_EXISTS,
  in_use: Code.FAILED_PRECONDITION,
  revision_conflict: Code.ABORTED,
  exhausted: Code.RESOURCE_EXHAUSTED,
};

/** The thing that a field names, by the last part of its path. */
const SUBJECTS: Readonly<Record<string, string>> = {
  name: 'TARGET_GROUP',
  targetGroup: 'TARGET_GROUP',
  targetGroups: 'TARGET_GROUP',
  allowedTargetGroups: 'TARGET_GROUP',
  server: 'UPSTREAM_SERVER',
  servers: 'UPSTREAM_SERVER',
  clientId: 'CLIENT',
  clients: 'CLIENT',
  fingerprint: 'REVOCATION',
};

function reasonFor({ code, field }: DomainError): string {
  if (code === 'invalid') return 'INVALID_FIELD';
  if (code === 'revision_conflict') return 'REVISION_CONFLICT';
  const subject = SUBJECTS[field.split('.').at(-1) ?? ''];
  return subject === undefined ? code.toUpperCase() : `${subject}_${code.toUpperCase()}`;
}

/** `targetGroup.healthCheck` -> `target_group.health_check`. */
function protoPath(field: string): string {
  return field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** What a caller sent may be quoted in a message: it is bounded, and nothing in it may steer a terminal or break a header. */
function presentable(message: string): string {
  const text = message.length > MAX_MESSAGE ? `${message.slice(0, MAX_MESSAGE - 1)}…` : message;
  return text.toWellFormed().replace(/\p{C}/gu, '?');
}

/** In bytes. Clients take 8 KiB of trailers, in which this is written as base64: what is more would hide the news itself. */
const MAX_VIOLATIONS = 4096;

function boundedViolations(violations: readonly Violation[]): Violation[] {
  const told: Violation[] = [];
  let left = MAX_VIOLATIONS;
  for (const violation of violations) {
    const field = presentable(violation.field).slice(0, 120);
    const description = presentable(violation.description);
    left -= Buffer.byteLength(field) + Buffer.byteLength(description);
    if (left < 0) return [...told, { field: 'and', description: `${violations.length - told.length} more` }];
    told.push({ field, description });
  }
  return told;
}

function packed(type: string, value: Uint8Array): { typeUrl: string; value: Buffer } {
  return { typeUrl: `type.googleapis.com/${type}`, value: Buffer.from(value) };
}
