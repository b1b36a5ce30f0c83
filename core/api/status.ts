/** metav1.Status as a thrown value: met once, at the edge that answers or in the retry helper. */
export interface StatusCause {
  readonly reason?: string;
  readonly message?: string;
  readonly field?: string;
}
export interface StatusDetails {
  readonly name?: string;
  readonly group?: string;
  readonly kind?: string;
  readonly uid?: string;
  readonly causes?: readonly StatusCause[];
  readonly retryAfterSeconds?: number;
}
export interface Status {
  readonly kind: 'Status';
  readonly apiVersion: 'v1';
  readonly metadata: Record<string, never>;
  readonly status: 'Success' | 'Failure';
  readonly message?: string;
  readonly reason?: string;
  readonly details?: StatusDetails;
  readonly code: number;
}

export class StatusError extends Error {
  constructor(
    readonly code: number,
    readonly reason: string,
    message: string,
    readonly details?: StatusDetails,
  ) {
    super(message);
    this.name = 'StatusError';
  }
  toStatus(): Status {
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: this.message,
      reason: this.reason || undefined,
      details: this.details,
      code: this.code,
    };
  }
  static from(status: Status): StatusError {
    return new StatusError(status.code, status.reason ?? '', status.message ?? '', status.details);
  }
}

export const isReason = (error: unknown, ...reasons: string[]): error is StatusError =>
  error instanceof StatusError && reasons.includes(error.reason);

/** `resource` is the plural, with `.group` behind it outside the core group: upstream writes `pods "x" not found`. */
export const errors = {
  notFound: (resource: string, name: string) =>
    new StatusError(404, 'NotFound', `${resource} "${name}" not found`, detailsOf(resource, name)),
  alreadyExists: (resource: string, name: string) =>
    new StatusError(409, 'AlreadyExists', `${resource} "${name}" already exists`, detailsOf(resource, name)),
  conflict: (resource: string, name: string, why: string) =>
    new StatusError(
      409,
      'Conflict',
      `Operation cannot be fulfilled on ${resource} "${name}": ${why}`,
      detailsOf(resource, name),
    ),
  expired: (message: string) => new StatusError(410, 'Expired', message),
  badRequest: (message: string) => new StatusError(400, 'BadRequest', message),
  unauthorized: () => new StatusError(401, 'Unauthorized', 'Unauthorized'),
  forbidden: (resource: string, name: string, why: string) =>
    new StatusError(
      403,
      'Forbidden',
      `${resource}${name ? ` "${name}"` : ''} is forbidden: ${why}`,
      detailsOf(resource, name),
    ),
  /** A path or a resource that nobody serves. */
  noSuchPath: () => new StatusError(404, 'NotFound', 'the server could not find the requested resource', {}),
  tooLarge: (message: string) => new StatusError(413, 'RequestEntityTooLarge', message),
  internal: (message: string) =>
    new StatusError(500, 'InternalError', `Internal error occurred: ${message}`, { causes: [{ message }] }),
  tooManyRequests: (message: string, retryAfterSeconds: number) =>
    new StatusError(429, 'TooManyRequests', message, { retryAfterSeconds }),
  timeout: (message: string) => new StatusError(504, 'Timeout', message),
  unavailable: (message: string) => new StatusError(503, 'ServiceUnavailable', message),
  methodNotAllowed: (why: string) => new StatusError(405, 'MethodNotAllowed', why, {}),
};

function detailsOf(resource: string, name: string): StatusDetails {
  const dot = resource.indexOf('.');
  return {
    name: name || undefined,
    group: dot < 0 ? undefined : resource.slice(dot + 1),
    kind: dot < 0 ? resource : resource.slice(0, dot),
  };
}

/** One mistake in an object. `type` is upstream's cause reason; `field` its path such as `spec.containers[0].name`. */
export interface FieldError {
  readonly type:
    | 'FieldValueRequired'
    | 'FieldValueInvalid'
    | 'FieldValueNotSupported'
    | 'FieldValueForbidden'
    | 'FieldValueDuplicate'
    | 'FieldValueNotFound'
    | 'FieldValueTooLong'
    | 'FieldValueTooMany'
    | 'FieldValueTypeInvalid'
    | 'InternalError';
  readonly field?: string;
  /** Without the path: `Invalid value: "A": a lowercase RFC 1123 label must …` */
  readonly message: string;
}

const show = (value: unknown): string => (value === undefined ? 'null' : JSON.stringify(value));
export const fieldErrors = {
  required: (field: string, detail = ''): FieldError => ({
    type: 'FieldValueRequired',
    field,
    message: `Required value${detail && `: ${detail}`}`,
  }),
  invalid: (field: string, value: unknown, detail: string): FieldError => ({
    type: 'FieldValueInvalid',
    field,
    message: `Invalid value: ${show(value)}: ${detail}`,
  }),
  notSupported: (field: string, value: unknown, valid: readonly string[]): FieldError => ({
    type: 'FieldValueNotSupported',
    field,
    message: `Unsupported value: ${show(value)}: supported values: ${[...valid].sort().map(show).join(', ')}`,
  }),
  forbidden: (field: string, detail: string): FieldError => ({
    type: 'FieldValueForbidden',
    field,
    message: `Forbidden: ${detail}`,
  }),
  duplicate: (field: string, value: unknown): FieldError => ({
    type: 'FieldValueDuplicate',
    field,
    message: `Duplicate value: ${show(value)}`,
  }),
  notFound: (field: string, value: unknown): FieldError => ({
    type: 'FieldValueNotFound',
    field,
    message: `Not found: ${show(value)}`,
  }),
  tooLong: (field: string, limit: number): FieldError => ({
    type: 'FieldValueTooLong',
    field,
    message: `Too long: may not be more than ${limit} bytes`,
  }),
};

/** Mistakes that one answer tells; a hostile object has as many as it has values, each with a sentence. */
export const mistakesMax = 256;

/** 422 with every mistake at once, up to a bound. `kind` is the kind's name, `group` its group. */
export function invalidObject(kind: string, group: string, name: string, found: readonly FieldError[]): StatusError {
  const mistakes = found.slice(0, mistakesMax);
  const lines = mistakes.map((mistake) => `${mistake.field}: ${mistake.message}`);
  if (found.length > mistakesMax) lines.push(`and ${found.length - mistakesMax} more`);
  const text = lines.length === 1 ? lines[0] : `[${lines.join(', ')}]`;
  return new StatusError(422, 'Invalid', `${kind}${group && `.${group}`} "${name}" is invalid: ${text}`, {
    name: name || undefined,
    group: group || undefined,
    kind: kind || undefined,
    causes: mistakes.map((mistake) => ({ reason: mistake.type, message: mistake.message, field: mistake.field })),
  });
}
