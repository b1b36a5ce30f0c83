import { errors, StatusError } from '#api';
import { readObject } from '../body.ts';
import type { JsonObject } from '../contract.ts';
import { type Call, mustGet } from '../core.ts';
import { valueAnswer } from '../write-answer.ts';

/** POST serviceaccounts/NAME/token: answers the TokenRequest with its status filled. */
export async function issueToken(call: Call): Promise<Response> {
  const { tokens } = call.core.options;
  if (!tokens)
    throw new StatusError(501, 'NotImplemented', 'this server issues no tokens: it runs without a signing key');
  const { value } = await readObject(call.request);
  if (value['kind'] && value['kind'] !== 'TokenRequest') {
    throw errors.badRequest(`${String(value['kind'])} cannot be handled as a TokenRequest`);
  }
  const account = mustGet(call);
  const spec = (value['spec'] ?? {}) as JsonObject;
  const key = { namespace: account.namespace, name: account.name, uid: account.object.metadata.uid ?? '' };
  const issued = await tokens.issue(key, spec);
  return valueAnswer(
    call,
    {
      kind: 'TokenRequest',
      apiVersion: 'authentication.k8s.io/v1',
      metadata: { name: account.name, namespace: account.namespace, creationTimestamp: null },
      spec: { audiences: issued.audiences, boundObjectRef: null, expirationSeconds: 3600, ...spec },
      status: { token: issued.token, expirationTimestamp: issued.expirationTimestamp },
    },
    201,
  );
}
