import type { PartReport } from '../host/builtin.ts';

/** The boot tree of each component: a plugin stands below what it waited for last. Pure. */
export function treeText(
  components: readonly { readonly component: string; readonly parts: readonly PartReport[] }[],
): string {
  const lines: string[] = [];
  for (const { component, parts } of components) {
    lines.push(component);
    if (parts.length === 0) lines.push('└─ no plugins');
    branch(parts, undefined, '', lines);
  }
  return `${lines.join('\n')}\n`;
}

function branch(parts: readonly PartReport[], parent: string | undefined, indent: string, lines: string[]): void {
  const below = parts.filter((part) => parentOf(part, parts) === parent);
  below.forEach((part, index) => {
    const last = index === below.length - 1;
    lines.push(`${indent}${last ? '└─' : '├─'} ${lineOf(part)}`);
    branch(parts, part.name, `${indent}${last ? '   ' : '│  '}`, lines);
  });
}

/** Of several requirements the one that was ready last: it decided when this one could begin. */
const parentOf = (part: PartReport, parts: readonly PartReport[]): string | undefined =>
  parts
    .filter(({ name }) => part.requires.includes(name))
    .sort((a, b) => b.beganMs + b.durationMs - (a.beganMs + a.durationMs))[0]?.name;

const lineOf = ({ name, state, durationMs, error }: PartReport): string =>
  state === 'active' ? `${name} ${durationMs.toFixed(1)} ms` : `${name} ${state}: ${error ?? 'no reason was given'}`;
