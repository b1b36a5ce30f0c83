import * as jose from 'jose';
import type { Clock } from '#base';
import { type SigningKeys, signToken, verifyOptions } from './signing-keys.ts';

/** What the apiserver asks of one kubelet. The token is good for this and nothing else. */
export interface KubeletOperation {
  readonly op: 'logs' | 'exec' | 'attach' | 'portForward' | 'stats';
  readonly namespace?: string;
  readonly pod?: string;
  readonly container?: string;
}

export const kubeletTokenSecondsMax = 60;
const clockSkewSecondsMax = 5;
const audienceOf = (nodeName: string) => `kubelet:${nodeName}`;

export const createKubeletTokenSigner =
  (keys: SigningKeys, clock: Clock) =>
  (nodeName: string, operation: KubeletOperation): Promise<string> => {
    const iat = Math.floor(clock.now() / 1000);
    return signToken(keys, { ...operation, aud: [audienceOf(nodeName)], iat, exp: iat + kubeletTokenSecondsMax });
  };

/** Resolves to what the token allows, or undefined for a token that is not good here and now. */
export function createKubeletTokenVerifier(jwks: jose.JSONWebKeySet, nodeName: string, clock: Clock) {
  const keySet = jose.createLocalJWKSet(jwks);
  return async (token: string): Promise<KubeletOperation | undefined> => {
    try {
      const { payload } = await jose.jwtVerify(token, keySet, {
        ...verifyOptions,
        typ: 'JWT',
        audience: audienceOf(nodeName),
        currentDate: new Date(clock.now()),
        clockTolerance: clockSkewSecondsMax,
        maxTokenAge: kubeletTokenSecondsMax,
        requiredClaims: ['exp', 'iat', 'op'],
      });
      const { op, namespace, pod, container } = payload as jose.JWTPayload & KubeletOperation;
      return { op, namespace, pod, container };
    } catch {
      return undefined;
    }
  };
}
