/** For names of chains and sets: the same text has the same name, on every host and after every restart. */
export const shortName = (text: string): string => new Bun.CryptoHasher('sha1').update(text).digest('hex').slice(0, 16);
