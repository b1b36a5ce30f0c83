import { errors } from '#api';
import type { UserInfo } from '#sdk';
import type { ServiceAccountTokens } from './service-account-tokens.ts';

const bearerBytesMax = 16 * 1024;

/** Undefined: no credentials. Throws 401 for credentials that are wrong. Who may act as another is decided behind this. */
export function createAuthenticator(sources: {
  readonly tokenFile?: { userOf(token: string): Promise<UserInfo | undefined> | UserInfo | undefined };
  readonly serviceAccounts?: Pick<ServiceAccountTokens, 'authenticate'>;
  readonly bootstrapTokens?: (token: string) => UserInfo | undefined;
  /** Asked last, about tokens that nobody here knows. */
  readonly others?: (token: string) => Promise<UserInfo | undefined>;
}): { authenticate(request: Request): Promise<UserInfo | undefined> | UserInfo | undefined } {
  const userOfToken = async (token: string, known: Promise<UserInfo | undefined> | undefined): Promise<UserInfo> => {
    const user =
      (await known) ??
      sources.bootstrapTokens?.(token) ??
      (await sources.serviceAccounts?.authenticate(token).catch(() => undefined))?.user ??
      (await sources.others?.(token));
    if (!user) throw errors.unauthorized();
    return user;
  };
  return {
    authenticate(request) {
      const token = bearerOf(request.headers);
      if (token === undefined) return undefined;
      if (token === '' || token.length > bearerBytesMax) throw errors.unauthorized();
      const known = sources.tokenFile?.userOf(token);
      return known && !(known instanceof Promise) ? known : userOfToken(token, known);
    },
  };
}

/** From the Authorization header, or from the WebSocket subprotocol browsers are limited to. */
function bearerOf(headers: Headers): string | undefined {
  const authorization = headers.get('authorization');
  // Other schemes are nobody's here: such a request is anonymous, as upstream.
  if (authorization !== null && /^bearer\b/i.test(authorization))
    return /^bearer +(\S+) *$/i.exec(authorization)?.[1] ?? '';
  const prefix = 'base64url.bearer.authorization.k8s.io.';
  const protocol = headers
    .get('sec-websocket-protocol')
    ?.split(',')
    .map((part) => part.trim())
    .find((part) => part.startsWith(prefix));
  return protocol && Buffer.from(protocol.slice(prefix.length), 'base64url').toString();
}
