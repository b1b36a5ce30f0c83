import { StatusError } from '#api';

/** What a client wants to get. */
export interface Wanted {
  readonly format: 'json' | 'yaml' | 'protobuf';
  readonly as: 'object' | 'Table' | 'PartialObjectMetadata' | 'PartialObjectMetadataList';
  /** Of the meta.k8s.io group. */
  readonly version: 'v1' | 'v1beta1';
  readonly pretty: boolean;
}
interface Range {
  readonly type: string;
  readonly parameters: Readonly<Record<string, string>>;
}
export const jsonType = 'application/json';
export const yamlType = 'application/yaml';
export const protobufType = 'application/vnd.kubernetes.protobuf';
const rangesMax = 32; // of one Accept header; the rest is not read

/** Clients send the same few texts all the time. */
const parsed = new Map<string, readonly Range[]>();
const parsedMax = 200;
const parsedCharactersMax = 300;

/** Media ranges in the client's order of preference. */
export function parseAccept(text: string): readonly Range[] {
  const known = parsed.get(text);
  if (known) return known;
  const ranges = readAccept(text);
  if (text.length <= parsedCharactersMax) {
    if (parsed.size >= parsedMax) parsed.clear();
    parsed.set(text, ranges);
  }
  return ranges;
}

function readAccept(text: string): readonly Range[] {
  const ranges = text.split(',', rangesMax).map((part, index) => {
    const [type = '', ...rest] = part.split(';').map((piece) => piece.trim());
    const parameters = Object.fromEntries(rest.map((piece) => piece.split('=', 2).map((side) => side.trim())));
    return { type: type.toLowerCase(), parameters, quality: Number(parameters['q'] ?? 1), index };
  });
  return ranges.filter((range) => range.type).sort((a, b) => b.quality - a.quality || a.index - b.index);
}

const formats: Readonly<Record<string, Wanted['format']>> = {
  [jsonType]: 'json',
  '*/*': 'json',
  [yamlType]: 'yaml',
  [protobufType]: 'protobuf',
};
/** What can be made of the kind, and of what the verb answers. */
export interface Offer {
  readonly protobuf: boolean;
  readonly verb: string;
}
const typesOf = ({ protobuf }: Offer): string[] => [jsonType, yamlType, ...(protobuf ? [protobufType] : [])];

/** Throws 406 with upstream's texts when nothing fits. */
export function negotiate(request: Request, query: URLSearchParams, offer: Offer): Wanted {
  const pretty = query.has('pretty')
    ? query.get('pretty') !== 'false' && query.get('pretty') !== '0'
    : isShown(request);
  const accept = request.headers.get('accept');
  if (!accept) return { format: 'json', as: 'object', version: 'v1', pretty };
  const types = typesOf(offer);
  const ranges = parseAccept(accept);
  // Upstream's router looks at the types alone, before its negotiation looks at their parameters.
  if (!ranges.some(({ type }) => type === '*/*' || types.includes(type))) throw noRepresentation(types, offer);
  for (const { type, parameters } of ranges) {
    const format = formats[type];
    if (!format || (format === 'protobuf' && !offer.protobuf)) continue;
    if (format === 'yaml' && offer.verb === 'watch') continue; // a stream has no YAML form
    const as = parameters['as'] ?? '';
    if (!as) return { format, as: 'object', version: 'v1', pretty };
    const version = parameters['v'];
    if (parameters['g'] !== 'meta.k8s.io' || (version !== 'v1' && version !== 'v1beta1')) continue;
    if (format === 'protobuf' && as === 'Table') continue; // its cells have no form
    if (as === 'Table' || as === 'PartialObjectMetadata' || as === 'PartialObjectMetadataList')
      return { format, as, version, pretty };
  }
  throw notAcceptable(types);
}
/** People who look at answers with these get them indented, as upstream. */
const isShown = (request: Request): boolean =>
  /^(curl|Wget|Mozilla\/5\.0)/.test(request.headers.get('user-agent') ?? '');

/** For errors, which always have an answer: JSON where nothing else is asked for. */
export function errorFormat(accept: string | null): Wanted['format'] {
  for (const { type, parameters } of parseAccept(accept ?? '')) {
    const format = formats[type];
    if (format) return parameters['as'] ? 'json' : format;
  }
  return 'json';
}

function noRepresentation(types: readonly string[], offer: Offer): StatusError {
  const streams = offer.verb === 'list' || offer.verb === 'watch' ? types.filter((type) => type !== yamlType) : [];
  const names = [...types, ...streams.map((type) => `${type};stream=watch`)];
  return new StatusError(
    406,
    'NotAcceptable',
    `406: Not Acceptable\n\nAvailable representations: ${names.join(', ')}`,
    {},
  );
}
export const notAcceptable = (types: readonly string[]): StatusError =>
  new StatusError(406, 'NotAcceptable', `only the following media types are accepted: ${types.join(', ')}`);
export const unsupportedMedia = (types: readonly string[]): StatusError =>
  new StatusError(
    415,
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - accepted media types include: ${types.join(', ')}`,
  );
