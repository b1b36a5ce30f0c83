import type { IngressDriver } from '../../plugins/ingress/driver.ts';
import { haproxy, haproxyDriver } from '../fixtures/haproxy.ts';
import { ingressDriverContract } from './ingress-driver.ts';

/** docs/ingress.md says so, too. */
const differences = {
  countsBackends: true, // HAProxy counts by backend and class
  ignoresChunkedBound: true, // it has no bound for a body that it passes on as it comes
  rewrites: ['length and coding'], // RFC 9112, 6.3: the length is dropped, and the connection closed afterwards
};
if (haproxy) {
  ingressDriverContract(
    'haproxy',
    async (): Promise<IngressDriver> => {
      const made = await haproxyDriver();
      const { driver } = made;
      return {
        name: driver.name,
        get listening() {
          return driver.listening;
        },
        apply: (routing) => driver.apply(routing),
        health: () => driver.health(),
        metrics: () => driver.metrics(),
        [Symbol.asyncDispose]: () => made[Symbol.asyncDispose](),
      };
    },
    differences,
  );
}
