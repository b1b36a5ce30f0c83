const hopByHop = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
];

/** What the backend gets: nothing of this connection, and nothing that tells who the caller is or lets it act as the caller. */
export function requestHeaders(request: Request): Headers {
  const headers = endToEnd(request.headers);
  for (const name of [...headers.keys()])
    if (
      name === 'authorization' ||
      name === 'host' ||
      name.startsWith('impersonate-') ||
      name.startsWith('x-remote-') ||
      name.startsWith('sec-websocket-')
    )
      headers.delete(name);
  const url = new URL(request.url);
  headers.set('x-forwarded-uri', url.pathname);
  headers.set('x-forwarded-host', request.headers.get('host') ?? url.host);
  headers.set('x-forwarded-proto', url.protocol.slice(0, -1));
  return headers;
}

/** What the client gets; a backend decides nothing about other origins in the apiserver's name. */
export function responseHeaders(from: Headers): Headers {
  const headers = endToEnd(from);
  for (const name of [...headers.keys()]) if (name.startsWith('access-control-')) headers.delete(name);
  return headers;
}

function endToEnd(from: Headers): Headers {
  const headers = new Headers(from);
  const named = (from.get('connection') ?? '').split(',').map((name) => name.trim().toLowerCase());
  for (const name of [...hopByHop, ...named]) if (/^[a-z0-9-]+$/.test(name)) headers.delete(name);
  return headers;
}

/** A path of the backend as the client reaches it through the proxy; other places are left alone. */
export function throughProxy(link: string, origin: string, prefix: string): string {
  if (link.startsWith('//')) return link;
  if (link.startsWith('/')) return prefix + link;
  if (link === origin || link.startsWith(`${origin}/`)) return prefix + link.slice(origin.length);
  return link;
}

const links: readonly (readonly [selector: string, attribute: string])[] = [
  ['a', 'href'],
  ['area', 'href'],
  ['base', 'href'],
  ['link', 'href'],
  ['img', 'src'],
  ['script', 'src'],
  ['iframe', 'src'],
  ['frame', 'src'],
  ['input', 'src'],
  ['source', 'src'],
  ['form', 'action'],
];
/** Absolute paths in HTML would leave the proxy: they get its prefix, as upstream does. */
export function rewriteLinks(page: Response, origin: string, prefix: string): Response {
  const rewriter = new HTMLRewriter();
  for (const [selector, attribute] of links)
    rewriter.on(`${selector}[${attribute}]`, {
      element(element) {
        const link = element.getAttribute(attribute);
        if (link) element.setAttribute(attribute, throughProxy(link, origin, prefix));
      },
    });
  return rewriter.transform(page);
}
