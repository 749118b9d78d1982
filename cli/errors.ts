/** What can go wrong, as the one line that lbctl prints and the code it exits with. */
import { type ServiceError, status as Status } from '@grpc/grpc-js';
import { BadRequest, ErrorInfo } from '../src/gen/google/rpc/error_details.ts';
import { Status as RpcStatus } from '../src/gen/google/rpc/status.ts';

export const EXIT = { done: 0, refused: 1, usage: 2, unreachable: 3 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Ends lbctl with this exit code; the message is one line that says what to do. */
export class CliError extends Error {
  readonly exitCode: ExitCode;
  /** The gRPC status of the server's refusal. */
  readonly status: Status | undefined;
  /** The stable code of that refusal, such as COMPACTED. */
  readonly reason: string | undefined;

  constructor(exitCode: ExitCode, message: string, status?: Status, reason?: string) {
    super(message);
    this.name = 'CliError';
    this.exitCode = exitCode;
    this.status = status;
    this.reason = reason;
  }
}

export const usageError = (message: string): CliError => new CliError(EXIT.usage, message);
export const unreachable = (addr: string, why: string): CliError => new CliError(EXIT.unreachable, `cannot reach ${addr}: ${why}`);

/** What the server cannot know: how its refusal is met with lbctl. */
const ADVICE: Readonly<Partial<Record<Status, string>>> = {
  [Status.PERMISSION_DENIED]: 'use a certificate whose role allows it (--cert and --key)',
  [Status.UNAUTHENTICATED]: 'use a certificate that this server knows (--cert and --key)',
  [Status.ALREADY_EXISTS]: 'remove it first, or take another name',
  [Status.UNIMPLEMENTED]: 'is lbd older than this lbctl?',
};

/** The server's refusal: its status, the fields at fault where it names them, and what to do about it. */
export function refusal(error: ServiceError): CliError {
  const { violations, reason } = detailsOf(error);
  const said = violations.length > 0 ? violations.join('; ') : error.details.trim();
  const message = said === '' ? 'the server did not say why' : said;
  const advice = ADVICE[error.code];
  return new CliError(
    EXIT.refused,
    `refused (${Status[error.code] ?? error.code}): ${advice === undefined ? message : `${message}; ${advice}`}`,
    error.code,
    reason,
  );
}

interface Details {
  /** Each `field: problem` of the google.rpc.BadRequest. */
  readonly violations: readonly string[];
  /** Of the google.rpc.ErrorInfo. */
  readonly reason?: string | undefined;
}

/** What `grpc-status-details-bin` says; nothing when it is not there or cannot be read. */
function detailsOf(error: ServiceError): Details {
  const [encoded] = error.metadata.get('grpc-status-details-bin');
  if (!(encoded instanceof Uint8Array)) return { violations: [] };
  try {
    const { details } = RpcStatus.decode(encoded);
    const info = details.find(({ typeUrl }) => typeUrl.endsWith('/google.rpc.ErrorInfo'));
    const violations = details
      .filter(({ typeUrl }) => typeUrl.endsWith('/google.rpc.BadRequest'))
      .flatMap(({ value }) => BadRequest.decode(value).fieldViolations)
      .map(({ field, description }) => (field === '' ? description : `${field}: ${description}`));
    return { violations, reason: info && ErrorInfo.decode(info.value).reason };
  } catch {
    // Details that cannot be read must not hide the status that came with them.
    return { violations: [] };
  }
}

/** What an error of the file system means to the one who named the file. */
export function fileProblem(error: unknown): string {
  switch (errorCode(error)) {
    case 'ENOENT':
      return 'there is no such file';
    case 'EACCES':
    case 'EPERM':
      return 'you may not read it';
    case 'EISDIR':
      return 'it is a folder';
    default:
      return errorText(error);
  }
}

export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** The short text of an error; OpenSSL's own reason where there is one, since its message is a line of source positions. */
export function errorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return 'reason' in error && typeof error.reason === 'string' ? error.reason : error.message;
}
