declare global {
  interface JSON {
    /** A number to be written as it is spelled here. */
    rawJSON(text: string): unknown;
  }
  interface BigInt {
    toJSON(): unknown;
  }
}

/** Without it a document that holds such a number could not be written at all, wherever it has come to. */
BigInt.prototype.toJSON = function (this: bigint): unknown {
  return JSON.rawJSON(this.toString());
};

const mayHoldBig = /[0-9]{16}/; // the first integer that a double cannot hold has 16 digits
type SourceReviver = (key: string, value: unknown, context?: { readonly source?: string }) => unknown;
const exact: SourceReviver = (_key, value, context) =>
  typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? '')
    ? BigInt(context!.source!)
    : value;

/** As JSON.parse, but integers beyond 2^53 become bigints instead of their neighbours; JSON.stringify writes them exactly. */
export const parseExactly = (text: string): unknown =>
  mayHoldBig.test(text) ? JSON.parse(text, exact as Parameters<typeof JSON.parse>[1]) : JSON.parse(text);
