/** $(NAME) references in env values, commands and arguments. `$$` is a dollar sign; an unknown name stays as it is written. */
export function expand(text: string, lookup: (name: string) => string | undefined): string {
  let out = '';
  for (let index = 0; index < text.length; index++) {
    const char = text[index]!;
    if (char !== '$' || index + 1 >= text.length) {
      out += char;
      continue;
    }
    const next = text[index + 1]!;
    if (next === '$') {
      out += '$';
      index++;
    } else if (next === '(') {
      const end = text.indexOf(')', index + 2);
      if (end < 0) {
        out += '$(';
        index++;
        continue;
      }
      const name = text.slice(index + 2, end);
      out += lookup(name) ?? `$(${name})`;
      index = end;
    } else {
      out += `$${next}`;
      index++;
    }
  }
  return out;
}

/** As expand, but an unknown name is an error: subPathExpr must not name a folder `$(X)`. */
export function expandStrict(text: string, lookup: (name: string) => string | undefined): string {
  const missing: string[] = [];
  const value = expand(text, (name) => {
    const found = lookup(name);
    if (found === undefined) missing.push(name);
    return found;
  });
  if (missing.length) throw new Error(`missing value for "${missing[0]}"`);
  return value;
}
