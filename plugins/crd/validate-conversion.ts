import type { Definition } from './kind.ts';
import { labelMistakes, type Mistakes } from './mistakes.ts';

type Conversion = NonNullable<Definition['spec']['conversion']>;
const known = ['v1', 'v1beta1'];

export function checkConversion(
  conversion: Conversion | undefined,
  preservesUnknown: boolean,
  mistakes: Mistakes,
): void {
  if (!conversion) return;
  const path = 'spec.conversion';
  if (preservesUnknown && conversion.strategy !== 'None')
    mistakes.invalid(`${path}.strategy`, conversion.strategy, 'must be None if spec.preserveUnknownFields is true');
  mistakes.oneOf(`${path}.strategy`, conversion.strategy, ['None', 'Webhook']);
  const config = conversion.webhook?.clientConfig;
  const versions = conversion.webhook?.conversionReviewVersions ?? [];
  if (conversion.strategy !== 'Webhook') {
    const why = 'should not be set when strategy is not set to Webhook';
    if (config) mistakes.forbidden(`${path}.webhookClientConfig`, why);
    if (versions.length > 0) mistakes.forbidden(`${path}.conversionReviewVersions`, why);
    return;
  }
  const at = `${path}.webhookClientConfig`;
  if (!config) mistakes.required(at, 'required when strategy is set to Webhook');
  else if ((config.url === undefined) === (config.service === undefined))
    mistakes.required(at, 'exactly one of url or service is required');
  else if (config.url !== undefined) checkUrl(config.url, `${at}.url`, mistakes);
  else checkService(config.service!, `${at}.service`, mistakes);
  checkReviewVersions(versions, `${path}.conversionReviewVersions`, mistakes);
}

const urlForm = '; desired format: https://host[/path]';
function checkUrl(text: string, path: string, mistakes: Mistakes): void {
  if (!URL.canParse(text)) {
    mistakes.required(
      path,
      `url must be a valid URL: parse ${JSON.stringify(text)}: invalid URI for request${urlForm}`,
    );
    return;
  }
  const url = new URL(text);
  if (url.protocol !== 'https:')
    mistakes.invalid(path, url.protocol.slice(0, -1), `'https' is the only allowed URL scheme${urlForm}`);
  if (!url.host) mistakes.invalid(path, url.host, `host must be specified${urlForm}`);
  if (url.username || url.password)
    mistakes.invalid(path, url.username, 'user information is not permitted in the URL');
  if (url.hash) mistakes.invalid(path, url.hash.slice(1), 'fragments are not permitted in the URL');
  if (url.search) mistakes.invalid(path, url.search.slice(1), 'query parameters are not permitted in the URL');
}

function checkService(
  service: { name: string; namespace: string; path?: string; port?: number },
  path: string,
  mistakes: Mistakes,
): void {
  if (!service.name) mistakes.required(`${path}.name`);
  if (!service.namespace) mistakes.required(`${path}.namespace`);
  const { port = 443 } = service;
  if (port < 1 || port > 65535)
    mistakes.invalid(`${path}.port`, port, 'port is not valid: must be between 1 and 65535, inclusive');
  const { path: address } = service;
  if (address === undefined || address === '/') return;
  if (!address.startsWith('/')) mistakes.invalid(`${path}.path`, address, "must start with a '/'");
  const segments = address.slice(1).split('/');
  for (const [index, segment] of segments.entries())
    if (segment === '' && !(index === segments.length - 1 && index > 0))
      mistakes.invalid(`${path}.path`, address, `segment[${index}] may not be empty`);
}

function checkReviewVersions(versions: readonly string[], path: string, mistakes: Mistakes): void {
  if (versions.length === 0) {
    mistakes.required(path);
    return;
  }
  for (const [index, version] of versions.entries()) {
    if (versions.indexOf(version) < index) mistakes.invalid(`${path}[${index}]`, version, 'duplicate version');
    else for (const why of labelMistakes(version)) mistakes.invalid(`${path}[${index}]`, version, why);
  }
  if (!versions.some((version) => known.includes(version)))
    mistakes.invalid(path, versions, `must include at least one of ${known.join(', ')}`);
}
