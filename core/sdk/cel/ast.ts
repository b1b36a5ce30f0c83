/** What the parser makes. `at` is the offset in the text, for messages. */
export type Node =
  | { readonly type: 'literal'; readonly at: number; readonly value: Literal }
  | { readonly type: 'ident'; readonly at: number; readonly name: string }
  | {
      readonly type: 'select';
      readonly at: number;
      readonly of: Node;
      readonly field: string;
      readonly optional: boolean;
    }
  /** has(a.b) */
  | { readonly type: 'has'; readonly at: number; readonly of: Node; readonly field: string }
  | {
      readonly type: 'call';
      readonly at: number;
      readonly name: string;
      readonly target?: Node;
      readonly args: readonly Node[];
    }
  | { readonly type: 'list'; readonly at: number; readonly items: readonly { node: Node; optional: boolean }[] }
  | {
      readonly type: 'map';
      readonly at: number;
      readonly entries: readonly { key: Node; value: Node; optional: boolean }[];
    }
  | {
      readonly type: 'struct';
      readonly at: number;
      readonly name: string;
      readonly fields: readonly { name: string; value: Node; optional: boolean }[];
    }
  /** A macro over a list or map, with one variable or two. */
  | {
      readonly type: 'comprehension';
      readonly at: number;
      readonly macro: Comprehension;
      readonly range: Node;
      readonly variables: readonly [string] | readonly [string, string];
      readonly filter?: Node;
      readonly body: Node;
    }
  /** cel.bind(name, value, in); optMap and optFlatMap bind what an optional holds. */
  | {
      readonly type: 'bind';
      readonly at: number;
      readonly name: string;
      readonly value: Node;
      readonly body: Node;
      readonly of: 'value' | 'optMap' | 'optFlatMap';
    };

export type Comprehension =
  | 'all'
  | 'exists'
  | 'existsOne'
  | 'map'
  | 'filter'
  | 'transformList'
  | 'transformMap'
  | 'transformMapEntry';

export type Literal =
  | { readonly type: 'null' }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'int' | 'uint'; readonly value: bigint }
  | { readonly type: 'double'; readonly value: number }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'bytes'; readonly value: Uint8Array };

/** A mistake in an expression, printed with the line and a caret as other CEL tools do. */
export class CelError extends Error {
  override readonly name = 'CelError';
  constructor(
    readonly problems: readonly { readonly at: number; readonly message: string }[],
    readonly source: string,
  ) {
    super(
      [...problems]
        .sort((a, b) => a.at - b.at)
        .map(({ at, message }) => problemText(source, at, message))
        .join('\n'),
    );
  }
}

function problemText(source: string, at: number, message: string): string {
  const before = source.slice(0, at);
  const line = before.split('\n').length;
  const column = at - (before.lastIndexOf('\n') + 1);
  const text = source.split('\n')[line - 1] ?? '';
  return `ERROR: <input>:${line}:${column + 1}: ${message}\n | ${text.replaceAll('\t', ' ')}\n | ${'.'.repeat(column)}^`;
}
