/** `name` is what an engine takes; `tag` or `digest`, with `latest` when neither is given. */
export interface ImageReference {
  readonly name: string;
  readonly tag?: string;
  readonly digest?: string;
}
const component = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const host =
  /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[0-9a-f:]+\])(?::\d+)?$/;

/** A refusal is text in the words that clients know from elsewhere, without the image's name. */
export function parseImageReference(image: string): ImageReference | string {
  const at = image.indexOf('@');
  const digest = at < 0 ? undefined : image.slice(at + 1);
  let name = at < 0 ? image : image.slice(0, at);
  if (digest !== undefined && !/^[a-z0-9]+(?:[+._-][a-z0-9]+)*:[0-9a-fA-F]{32,}$/i.test(digest))
    return 'invalid reference format';
  const colon = name.lastIndexOf(':');
  let tag: string | undefined;
  if (colon > name.lastIndexOf('/')) {
    tag = name.slice(colon + 1);
    name = name.slice(0, colon);
    if (!/^\w[\w.-]{0,127}$/.test(tag)) return 'invalid reference format';
  }
  const parts = name.split('/');
  const first = parts[0] ?? '';
  const hasHost = parts.length > 1 && (/[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase());
  if (hasHost && !host.test(first)) return 'invalid reference format';
  const path = hasHost ? parts.slice(1) : parts;
  if (path.join('/') !== path.join('/').toLowerCase() && path.every((part) => component.test(part.toLowerCase())))
    return `invalid reference format: repository name (${parts.length === 1 ? 'library/' : ''}${path.join('/')}) must be lowercase`;
  if (path.length === 0 || !path.every((part) => component.test(part))) return 'invalid reference format';
  if (name.length > 255) return 'repository name must not be more than 255 characters';
  return { name, ...(digest ? { digest } : {}), ...(tag !== undefined || digest ? { tag } : { tag: 'latest' }) };
}
