import tls from 'node:tls';
import { messageOf } from '#sdk';
import type { Certificate, Routing } from '../model.ts';

interface Kept {
  readonly version: string;
  readonly context: tls.SecureContext;
}

/** Which certificate a name gets. A new one counts from the next handshake on; connections that stand are not touched. */
export class Certificates {
  #contexts = new Map<string, Kept>();
  #names = new Map<string, tls.SecureContext>();
  #standard: Kept | undefined;

  /** Those that cannot be used; their names get the default one. */
  use({ certificates, defaultCertificate }: Routing): { readonly id: string; readonly reason: string }[] {
    const rejected: { id: string; reason: string }[] = [];
    const contexts = new Map<string, Kept>();
    const names = new Map<string, tls.SecureContext>();
    for (const certificate of certificates) {
      try {
        const kept = this.#contextOf(certificate, this.#contexts.get(certificate.id));
        contexts.set(certificate.id, kept);
        for (const name of certificate.names) names.set(name, kept.context);
      } catch (error) {
        rejected.push({ id: certificate.id, reason: messageOf(error) });
      }
    }
    try {
      this.#standard = this.#contextOf(defaultCertificate, this.#standard);
    } catch (error) {
      rejected.push({ id: defaultCertificate.id, reason: messageOf(error) });
    }
    this.#contexts = contexts;
    this.#names = names;
    return rejected;
  }
  #contextOf({ version, cert, key }: Certificate, former: Kept | undefined): Kept {
    return former?.version === version ? former : { version, context: tls.createSecureContext({ cert, key }) };
  }
  /** Undefined only before the first routing. */
  find(serverName: string): tls.SecureContext | undefined {
    const name = serverName.toLowerCase();
    const dot = name.indexOf('.');
    return (
      this.#names.get(name) ?? (dot > 0 ? this.#names.get(`*${name.slice(dot)}`) : undefined) ?? this.#standard?.context
    );
  }
}
