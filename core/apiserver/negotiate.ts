import { StatusError } from '#api';

/** What a client wants to get. */
export interface Wanted {
  readonly format: 'json' | 'yaml';
  readonly as: 'object' | 'Table' | 'PartialObjectMetadata' | 'PartialObjectMetadataList';
  /** Of the meta.k8s.io group. */
  readonly version: 'v1' | 'v1beta1';
  readonly pretty: boolean;
}
interface Range {
  readonly type: string;
  readonly parameters: Readonly<Record<string, string>>;
}

/** Media ranges in the client's order of preference. */
export function parseAccept(text: string): Range[] {
  const ranges = text.split(',').map((part, index) => {
    const [type = '', ...rest] = part.split(';').map((piece) => piece.trim());
    const parameters = Object.fromEntries(rest.map((piece) => piece.split('=', 2).map((side) => side.trim())));
    return { type: type.toLowerCase(), parameters, quality: Number(parameters['q'] ?? 1), index };
  });
  return ranges.filter((range) => range.type).sort((a, b) => b.quality - a.quality || a.index - b.index);
}

/** Throws 406 with upstream's text when nothing fits. */
export function negotiate(request: Request, query: URLSearchParams): Wanted {
  const pretty = query.has('pretty') && query.get('pretty') !== 'false' && query.get('pretty') !== '0';
  const accept = request.headers.get('accept');
  if (!accept) return { format: 'json', as: 'object', version: 'v1', pretty };
  for (const { type, parameters } of parseAccept(accept)) {
    const format =
      type === 'application/json' || type === '*/*' || type === 'application/*'
        ? 'json'
        : type === 'application/yaml'
          ? 'yaml'
          : undefined;
    if (!format) continue;
    const as = parameters['as'] ?? '';
    if (!as) return { format, as: 'object', version: 'v1', pretty };
    const version = parameters['v'];
    if (parameters['g'] !== 'meta.k8s.io' || (version !== 'v1' && version !== 'v1beta1')) continue;
    if (as === 'Table' || as === 'PartialObjectMetadata' || as === 'PartialObjectMetadataList')
      return { format, as, version, pretty };
  }
  throw notAcceptable(['application/json', 'application/yaml']);
}

export const notAcceptable = (types: readonly string[]): StatusError =>
  new StatusError(406, 'NotAcceptable', `only the following media types are accepted: ${types.join(', ')}`);
export const unsupportedMedia = (types: readonly string[]): StatusError =>
  new StatusError(
    415,
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - accepted media types include: ${types.join(', ')}`,
  );
