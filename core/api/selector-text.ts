import type { Requirement, Selector } from './selectors.ts';

/** Selectors as query text. Errors say what upstream's parser says. */
const keyPattern = /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const valuePattern = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;
const alphanumeric = "alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
const keyRule = `name part must consist of ${alphanumeric} (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`;
const valueRule = `a valid label must be an empty string or consist of ${alphanumeric} (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`;

type Token = { readonly type: 'word' | 'keyword' | 'symbol' | 'end'; readonly text: string };
const tokenPattern = /\s*(==|!=|[=!(),<>]|[^\s=!(),<>]+)/gy;

function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  for (const [, lexeme = ''] of text.matchAll(tokenPattern)) {
    const isSymbol = /^[=!(),<>]/.test(lexeme);
    const isKeyword = lexeme === 'in' || lexeme === 'notin';
    tokens.push({ type: isSymbol ? 'symbol' : isKeyword ? 'keyword' : 'word', text: lexeme });
  }
  return tokens;
}

/** Query text such as `a=b,c!=d,e in (f,g),h,!i`. Throws an Error whose message says what is wrong. */
export function parseLabelSelector(text: string): Selector {
  if (text === '') return [];
  return new LabelParser(tokensOf(text)).selector();
}

const operators: Readonly<Record<string, Requirement['operator']>> = {
  in: 'in',
  notin: 'notin',
  '=': 'in',
  '==': 'in',
  '!=': 'notin',
  '>': 'gt',
  '<': 'lt',
};

class LabelParser {
  #at = 0;
  constructor(private readonly tokens: readonly Token[]) {}

  #peek(): Token {
    return this.tokens[this.#at] ?? { type: 'end', text: '' };
  }
  #next(): Token {
    const token = this.#peek();
    this.#at++;
    return token;
  }
  #isIdentifier = ({ type }: Token): boolean => type === 'word' || type === 'keyword';

  selector(): Selector {
    const requirements: Requirement[] = [];
    for (;;) {
      const token = this.#peek();
      if (token.type === 'end') return requirements;
      if (!this.#isIdentifier(token) && token.text !== '!')
        throw new Error(`found '${token.text}', expected: !, identifier, or 'end of string'`);
      try {
        requirements.push(this.#requirement());
      } catch (error) {
        throw new Error(`unable to parse requirement: ${(error as Error).message}`);
      }
      const after = this.#next();
      if (after.type === 'end') return requirements;
      if (after.text !== ',') throw new Error(`found '${after.text}', expected: ',' or 'end of string'`);
      const following = this.#peek();
      if (!this.#isIdentifier(following) && following.text !== '!')
        throw new Error(`found '${following.text}', expected: identifier after ','`);
    }
  }

  #requirement(): Requirement {
    let token = this.#next();
    const absent = token.text === '!' && token.type === 'symbol';
    if (absent) token = this.#next();
    if (!this.#isIdentifier(token)) throw new Error(`found '${token.text}', expected: identifier`);
    const key = token.text;
    if (!keyPattern.test(key)) throw new Error(`<nil>: Invalid value: ${JSON.stringify(key)}: ${keyRule}`);
    const after = this.#peek();
    if (absent || after.type === 'end' || after.text === ',')
      return { key, operator: absent ? '!' : 'exists', values: [] };
    const sign = this.#next();
    const operator = sign.type === 'word' ? undefined : operators[sign.text];
    if (!operator) throw new Error(`found '${sign.text}', expected: in, notin, =, ==, !=, gt, lt`);
    const values = sign.type === 'keyword' ? this.#values() : [this.#value()];
    if ((operator === 'gt' || operator === 'lt') && !/^[+-]?\d+$/.test(values[0]!))
      throw new Error(
        `values[0]: Invalid value: ${JSON.stringify(values[0])}: for 'Gt', 'Lt' operators, the value must be an integer`,
      );
    const bad = values.findIndex((value) => !valuePattern.test(value));
    if (bad >= 0)
      throw new Error(`values[${bad}][${key}]: Invalid value: ${JSON.stringify(values[bad])}: ${valueRule}`);
    return { key, operator, values };
  }

  #value(): string {
    const token = this.#peek();
    if (token.type === 'end' || token.text === ',') return '';
    this.#at++;
    if (!this.#isIdentifier(token)) throw new Error(`found '${token.text}', expected: identifier`);
    return token.text;
  }

  #values(): string[] {
    const open = this.#next();
    if (open.text !== '(') throw new Error(`found '${open.text}' expected: '('`);
    const values: string[] = [];
    let current = '';
    for (;;) {
      const token = this.#next();
      if (token.text === ')' || (token.text === ',' && token.type === 'symbol')) {
        values.push(current);
        current = '';
        if (token.text === ')') return values;
      } else if (this.#isIdentifier(token) && current === '') {
        current = token.text;
      } else {
        const wanted = current ? "',' or ')'" : "',', ')' or identifier";
        throw new Error(`found '${token.text}', expected: ${wanted}`);
      }
    }
  }
}

/** `metadata.name=x,status.phase!=Running`. Only =, == and !=; the caller checks that each key is selectable. */
export function parseFieldSelector(text: string): Selector {
  const parts = text.match(/(?:\\.|[^,\\]|\\$)+/gs) ?? [];
  return parts.map((part) => {
    const match = /^([^=!]*)(==|=|!=)(.*)$/s.exec(part);
    if (!match) throw new Error(`invalid selector: '${text}'; can't understand '${part}'`);
    return { key: match[1]!, operator: match[2] === '!=' ? 'notin' : 'in', values: [unescaped(match[3]!)] };
  });
}

function unescaped(text: string): string {
  const wrong = /\\(?![\\,=])./s.exec(text)?.[0] ?? (/(?:^|[^\\])(?:\\\\)*\\$/.test(text) ? '\\' : undefined);
  if (wrong) throw new Error(`invalid field selector: invalid escape sequence: ${wrong}`);
  return text.replace(/\\([,=\\])/g, '$1');
}
