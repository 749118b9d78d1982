export type DomainErrorCode = 'invalid' | 'not_found' | 'already_exists' | 'in_use' | 'revision_conflict' | 'exhausted';

/** A change that was refused. Nothing has changed. `field` names the part of the request that is at fault, in camelCase. */
export class DomainError extends Error {
  readonly code: DomainErrorCode;
  readonly field: string;

  constructor(code: DomainErrorCode, field: string, message: string) {
    super(message);
    this.name = 'DomainError';
    this.code = code;
    this.field = field;
  }
}
