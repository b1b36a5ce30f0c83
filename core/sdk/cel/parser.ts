import { CelError, type Comprehension, type Node } from './ast.ts';
import { type Token, tokensOf } from './lexer.ts';

/** Nesting and size of an expression, so that a hostile one ends early. */
const depthMax = 250;
const sourceCharsMax = 100_000;
const binary: readonly (readonly string[])[] = [
  ['||'],
  ['&&'],
  ['<', '<=', '>=', '>', '==', '!=', 'in'],
  ['+', '-'],
  ['*', '/', '%'],
];
const reserved = new Set(
  'as break const continue else for function if import let loop package namespace return var void while'.split(' '),
);

/** Text to tree. Throws CelError. */
export function parse(source: string): Node {
  if (source.length > sourceCharsMax)
    throw new CelError(
      [{ at: 0, message: `expression code point size exceeds limit: size: ${source.length}, limit ${sourceCharsMax}` }],
      source.slice(0, 80),
    );
  return new Parser(source).whole();
}

class Parser {
  readonly #tokens: readonly Token[];
  #next = 0;
  #depth = 0;
  constructor(readonly source: string) {
    this.#tokens = tokensOf(source);
  }

  whole(): Node {
    const node = this.#expression();
    if (this.#token.type !== 'end') this.#unexpected('<EOF>');
    return node;
  }

  get #token(): Token {
    return this.#tokens[this.#next]!;
  }
  #is(text: string): boolean {
    const { type, text: have } = this.#token;
    return have === text && (type === 'punctuation' || (text === 'in' && type === 'name'));
  }
  #skip(text: string): boolean {
    if (!this.#is(text)) return false;
    this.#next++;
    return true;
  }
  #expect(text: string): void {
    if (!this.#skip(text)) this.#unexpected(`'${text}'`);
  }
  #fail(at: number, message: string): never {
    throw new CelError([{ at, message }], this.source);
  }
  #unexpected(expected: string): never {
    const { at, text, type } = this.#token;
    return this.#fail(at, `Syntax error: mismatched input '${type === 'end' ? '<EOF>' : text}' expecting ${expected}`);
  }

  #expression(): Node {
    if (++this.#depth > depthMax) this.#fail(this.#token.at, `expression recursion limit exceeded: ${depthMax}`);
    const condition = this.#binary(0);
    this.#depth--;
    const { at } = this.#token;
    if (!this.#skip('?')) return condition;
    const yes = this.#binary(0);
    this.#expect(':');
    return { type: 'call', at, name: '_?_:_', args: [condition, yes, this.#expression()] };
  }

  #binary(level: number): Node {
    const signs = binary[level];
    if (!signs) return this.#unary();
    let left = this.#binary(level + 1);
    for (;;) {
      const { at, text } = this.#token;
      if (!signs.some((sign) => this.#is(sign))) return left;
      this.#next++;
      const right = this.#binary(level + 1);
      left = { type: 'call', at, name: text === 'in' ? '@in' : `_${text}_`, args: [left, right] };
    }
  }

  #unary(): Node {
    const { at, text } = this.#token;
    if (this.#is('!') || this.#is('-')) {
      this.#next++;
      const following = this.#token;
      if (text === '-' && following.type === 'literal' && /^(int|double)$/.test(following.value.type)) {
        const { value } = following;
        this.#next++;
        const negative =
          value.type === 'int'
            ? { ...value, value: -value.value }
            : { ...value, value: -(value as { value: number }).value };
        return this.#member({ type: 'literal', at, value: negative as never });
      }
      if (++this.#depth > depthMax) this.#fail(at, `expression recursion limit exceeded: ${depthMax}`);
      const operand = this.#unary();
      this.#depth--;
      return { type: 'call', at, name: text === '!' ? '!_' : '-_', args: [operand] };
    }
    return this.#member(this.#primary());
  }

  #member(start: Node): Node {
    let node = start;
    for (;;) {
      const { at } = this.#token;
      if (this.#skip('.')) {
        const optional = this.#skip('?');
        const field = this.#fieldName();
        const isQuoted = this.#tokens[this.#next - 1]!.type === 'quotedName';
        const { at: open } = this.#token;
        if (!optional && !isQuoted && this.#skip('(')) node = this.#method(node, field, this.#list(')'), open);
        else node = { type: 'select', at, of: node, field, optional };
      } else if (this.#skip('[')) {
        const optional = this.#skip('?');
        const index = this.#expression();
        this.#expect(']');
        node = { type: 'call', at, name: optional ? '_[?_]' : '_[_]', args: [node, index] };
      } else if (this.#is('{') && (node.type === 'ident' || node.type === 'select')) node = this.#struct(node, at);
      else return node;
    }
  }

  #fieldName(): string {
    const token = this.#token;
    if (token.type === 'quotedName') {
      this.#next++;
      return token.text.slice(1, -1);
    }
    if (token.type !== 'name') this.#unexpected('IDENTIFIER');
    this.#next++;
    return token.text;
  }

  #primary(): Node {
    const token = this.#token;
    const { at } = token;
    if (token.type === 'literal') {
      this.#next++;
      if (token.value.type === 'int' && token.value.value > 2n ** 63n - 1n) this.#fail(at, 'invalid int literal');
      return { type: 'literal', at, value: token.value };
    }
    if (this.#skip('(')) {
      const inner = this.#expression();
      this.#expect(')');
      return inner;
    }
    if (this.#skip('['))
      return { type: 'list', at, items: this.#optionals(']').map(({ node, optional }) => ({ node, optional })) };
    if (this.#skip('{')) return this.#map(at);
    this.#skip('.');
    const word = this.#token;
    if (word.type !== 'name')
      this.#unexpected(
        "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}",
      );
    this.#next++;
    if (word.text === 'true' || word.text === 'false')
      return { type: 'literal', at, value: { type: 'bool', value: word.text === 'true' } };
    if (word.text === 'null') return { type: 'literal', at, value: { type: 'null' } };
    if (reserved.has(word.text)) this.#fail(at, `reserved identifier: ${word.text}`);
    const open = this.#token.at;
    if (this.#skip('(')) return this.#function(word.text, this.#list(')'), open);
    return { type: 'ident', at, name: word.text };
  }

  #list(close: string): Node[] {
    const items: Node[] = [];
    while (!this.#skip(close)) {
      if (items.length > 0) this.#expect(',');
      if (items.length > 0 && close !== ')' && this.#skip(close)) return items;
      items.push(this.#expression());
    }
    return items;
  }
  #optionals(close: string): { node: Node; optional: boolean }[] {
    const items: { node: Node; optional: boolean }[] = [];
    while (!this.#skip(close)) {
      if (items.length > 0) this.#expect(',');
      if (this.#skip(close)) return items;
      items.push({ optional: this.#skip('?'), node: this.#expression() });
    }
    return items;
  }
  #map(at: number): Node {
    const entries: { key: Node; value: Node; optional: boolean }[] = [];
    while (!this.#skip('}')) {
      if (entries.length > 0) this.#expect(',');
      if (this.#skip('}')) break;
      const optional = this.#skip('?');
      const key = this.#expression();
      this.#expect(':');
      entries.push({ key, value: this.#expression(), optional });
    }
    return { type: 'map', at, entries };
  }
  #struct(name: Node, at: number): Node {
    this.#expect('{');
    const fields: { name: string; value: Node; optional: boolean }[] = [];
    while (!this.#skip('}')) {
      if (fields.length > 0) this.#expect(',');
      if (this.#skip('}')) break;
      const optional = this.#skip('?');
      const field = this.#fieldName();
      this.#expect(':');
      fields.push({ name: field, value: this.#expression(), optional });
    }
    return { type: 'struct', at, name: dotted(name) ?? '', fields };
  }

  #function(name: string, args: readonly Node[], open: number): Node {
    if (name !== 'has' || args.length !== 1) return { type: 'call', at: open, name, args };
    const [field] = args;
    if (field!.type !== 'select' || field!.optional) return this.#fail(field!.at, 'invalid argument to has() macro');
    return { type: 'has', at: open, of: field.of, field: field.field };
  }

  #method(target: Node, name: string, args: readonly Node[], at: number): Node {
    const macro = macros[name];
    if (macro?.includes(args.length)) {
      const made = this.#comprehension(target, name, args, at);
      if (made) return made;
    }
    if (name === 'sortBy' && args.length === 2) return this.#sortBy(target, args, at);
    if ((name === 'optMap' || name === 'optFlatMap') && args.length === 2)
      return { type: 'bind', at, name: this.#variable(args[0]!), value: target, body: args[1]!, of: name };
    return { type: 'call', at, name, target, args };
  }

  /** The list is bound, so that it is made once: its keys are a list beside it. */
  #sortBy(value: Node, args: readonly Node[], at: number): Node {
    const input: Node = { type: 'ident', at, name: '@__sortBy_input__' };
    const keys = this.#comprehension({ ...input }, 'map', args, at)!;
    const body: Node = { type: 'call', at, name: '@sortByAssociatedKeys', target: { ...input }, args: [keys] };
    return { type: 'bind', at, name: input.name, value, body, of: 'value' };
  }

  #variable(node: Node): string {
    return node.type === 'ident' ? node.name : this.#fail(node.at, 'argument must be a simple name');
  }

  #comprehension(range: Node, name: string, args: readonly Node[], at: number): Node | undefined {
    const macro = (name === 'exists_one' ? 'existsOne' : name) as Comprehension;
    const two = /^transform/.test(name) || (args.length === 3 && name !== 'map');
    const variables = two
      ? ([this.#variable(args[0]!), this.#variable(args[1]!)] as const)
      : ([this.#variable(args[0]!)] as const);
    if (variables[0] === variables[1]) this.#fail(args[1]!.at, `duplicate variable name: ${variables[1]}`);
    const rest = args.slice(variables.length);
    const filter = rest.length === 2 ? rest[0] : undefined;
    return { type: 'comprehension', at, macro, range, variables, filter, body: rest.at(-1)! };
  }
}

/** Name → numbers of arguments at which it is a macro. */
const macros: Readonly<Record<string, readonly number[]>> = {
  all: [2, 3],
  exists: [2, 3],
  exists_one: [2],
  existsOne: [2, 3],
  map: [2, 3],
  filter: [2],
  transformList: [3, 4],
  transformMap: [3, 4],
  transformMapEntry: [3, 4],
};

/** `a.b.c` of nested selections; undefined for anything else. */
export function dotted(node: Node): string | undefined {
  if (node.type === 'ident') return node.name;
  if (node.type !== 'select' || node.optional) return undefined;
  const before = dotted(node.of);
  return before === undefined ? undefined : `${before}.${node.field}`;
}
