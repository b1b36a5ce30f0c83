import { CelError, type Literal } from './ast.ts';

export type Token =
  | { readonly type: 'end'; readonly at: number; readonly text: string }
  | { readonly type: 'name' | 'quotedName' | 'punctuation'; readonly at: number; readonly text: string }
  | { readonly type: 'literal'; readonly at: number; readonly text: string; readonly value: Literal };

const punctuation = ['==', '!=', '<=', '>=', '&&', '||', ...'<>+-*/%!?:.,()[]{}'];
const stringStart = /(?:[rR][bB]?|[bB][rR]?)?("""|'''|"|')/y;
const number = /0[xX][0-9a-fA-F]+[uU]?|(?:\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)|\d+[uU]?/y;
const name = /[_a-zA-Z][_a-zA-Z0-9]*/y;
const quoted = /`[-_a-zA-Z0-9./ ]+`/y;
const space = /(?:[ \t\r\n\f]+|\/\/[^\n]*)+/y;

/** All tokens of an expression. Throws CelError at what is none. */
export function tokensOf(source: string): Token[] {
  const tokens: Token[] = [];
  const take = (pattern: RegExp, at: number): RegExpExecArray | null => {
    pattern.lastIndex = at;
    return pattern.exec(source);
  };
  for (let at = 0; ; ) {
    at += take(space, at)?.[0].length ?? 0;
    if (at >= source.length) {
      tokens.push({ type: 'end', at, text: '<EOF>' });
      return tokens;
    }
    const token = stringAt(source, at, take) ?? otherAt(source, at, take);
    if (!token)
      throw new CelError([{ at, message: `Syntax error: token recognition error at: '${source[at]}'` }], source);
    tokens.push(token);
    at += token.text.length;
  }
}

type Take = (pattern: RegExp, at: number) => RegExpExecArray | null;

function otherAt(source: string, at: number, take: Take): Token | undefined {
  const digits = take(number, at)?.[0];
  if (digits) return { type: 'literal', at, text: digits, value: numberOf(digits, source, at) };
  const word = take(name, at)?.[0];
  if (word) return { type: 'name', at, text: word };
  const quote = take(quoted, at)?.[0];
  if (quote) return { type: 'quotedName', at, text: quote };
  const sign = punctuation.find((each) => source.startsWith(each, at));
  return sign ? { type: 'punctuation', at, text: sign } : undefined;
}

const int64Max = 2n ** 63n - 1n;
function numberOf(text: string, source: string, at: number): Literal {
  if (/^0[xX]/.test(text) || /^\d+[uU]?$/.test(text)) {
    const isUint = /[uU]$/.test(text);
    const value = BigInt(isUint ? text.slice(0, -1) : text);
    // One more than the largest: it may stand behind a minus; the parser looks.
    if (value > (isUint ? 2n ** 64n - 1n : int64Max + 1n))
      throw new CelError([{ at, message: `invalid ${isUint ? 'uint' : 'int'} literal` }], source);
    return { type: isUint ? 'uint' : 'int', value };
  }
  return { type: 'double', value: Number(text) };
}

function stringAt(source: string, at: number, take: Take): Token | undefined {
  const start = take(stringStart, at);
  if (!start) return undefined;
  const quote = start[1]!;
  const prefix = start[0].slice(0, -quote.length).toLowerCase();
  const isRaw = prefix.includes('r');
  let end = at + start[0].length;
  while (!source.startsWith(quote, end)) {
    if (end >= source.length || (quote.length === 1 && source[end] === '\n'))
      throw new CelError(
        [{ at, message: `Syntax error: token recognition error at: '${source.slice(at, end)}'` }],
        source,
      );
    end += source[end] === '\\' && !isRaw ? 2 : 1;
  }
  const body = source.slice(at + start[0].length, end);
  const isBytes = prefix.includes('b');
  const value = isRaw ? body : unescaped(body, isBytes, source, at);
  return {
    type: 'literal',
    at,
    text: source.slice(at, end + quote.length),
    value: isBytes ? { type: 'bytes', value: bytesOf(value) } : { type: 'string', value },
  };
}

/** In bytes an octet escape stands for itself: it is carried as a private code point until here. */
const octet = 0xf0000;
function bytesOf(text: string): Uint8Array {
  const parts: number[] = [];
  for (const char of text) {
    const code = char.codePointAt(0)!;
    if (code >= octet && code <= octet + 255) parts.push(code - octet);
    else parts.push(...new TextEncoder().encode(char));
  }
  return Uint8Array.from(parts);
}

const simple: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
  '?': '?',
  '"': '"',
  "'": "'",
  '`': '`',
};
const escapes =
  /\\(?:([abfnrtv\\?"'`])|[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|([\s\S]?))/g;
function unescaped(body: string, isBytes: boolean, source: string, at: number): string {
  return body.replace(escapes, (whole, plain, hex, short, long, octal, bad) => {
    if (plain) return simple[plain as string]!;
    const code = (hex ?? short ?? long) ? parseInt((hex ?? short ?? long) as string, 16) : parseInt(octal as string, 8);
    if (bad !== undefined || code > 0x10ffff || (isBytes && (short || long)))
      throw new CelError([{ at, message: `Syntax error: invalid escape sequence ${whole}` }], source);
    return String.fromCodePoint(isBytes && (hex || octal) ? octet + code : code);
  });
}
