import { type DuplexChild, messageOf, type NodePartContext } from '#sdk';

/** Of the node part's context: what a data plane of another program needs of the machine. */
export type Machine = NodePartContext['machine'];
export interface Output {
  readonly code: number;
  readonly text: string;
}
const outputBytesMax = 64 * 1024;
const leastVersion = [2, 6] as const;

/** Runs a program to its end and reads what it printed. Throws when it cannot be started. */
export async function outputOf(machine: Machine, argv: readonly string[], cwd?: string): Promise<Output> {
  const child = machine.spawn(argv, cwd === undefined ? {} : { cwd });
  void child.stdin.end();
  const [out, err, code] = await Promise.all([textOf(child.stdout), textOf(child.stderr), child.exited]);
  return { code, text: out + err };
}

/** The first part of a stream; the rest is read and dropped, so that nobody blocks on a full pipe. */
export async function textOf(
  stream: DuplexChild['stdout'],
  onText: (text: string) => void = () => {},
): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of stream) {
    const part = decoder.decode(chunk, { stream: true });
    onText(part);
    if (text.length < outputBytesMax) text += part;
  }
  return text.slice(0, outputBytesMax);
}

/** Whether this machine has a HAProxy that the driver can use: its path, or why not, as a sentence for people. */
export async function findHaproxy(
  machine: Machine,
): Promise<{ program: string; version: string } | { reason: string }> {
  const program = machine.findProgram('haproxy');
  if (!program) return { reason: 'there is no program haproxy on this machine (Debian: apt-get install haproxy)' };
  try {
    return judge(program, (await outputOf(machine, [program, '-vv'])).text);
  } catch (error) {
    return { reason: `${program} cannot be run: ${messageOf(error)}` };
  }
}

/** From what `haproxy -vv` prints. Pure. */
export function judge(program: string, text: string): { program: string; version: string } | { reason: string } {
  const found = /^HAProxy version ((\d+)\.(\d+)\S*)/m.exec(text);
  if (!found) return { reason: `${program} is no HAProxy` };
  const [major, minor] = [Number(found[2]), Number(found[3])];
  if (major < leastVersion[0] || (major === leastVersion[0] && minor < leastVersion[1]))
    return { reason: `${program} is version ${found[1]}, and ${leastVersion.join('.')} is needed` };
  for (const feature of ['LUA', 'OPENSSL', 'PCRE2_JIT'])
    if (!new RegExp(`\\+${feature}\\b`).test(text)) return { reason: `${program} was built without ${feature}` };
  return { program, version: found[1]! };
}

/** The lines of an output that say what is wrong, without HAProxy's own prefixes. */
export function alertsIn(text: string): string {
  const lines = [...text.matchAll(/^\[(?:ALERT|WARNING)\]\s+\(\d+\) : (.*)$/gm)].map((match) => match[1]!);
  return (lines.length > 0 ? lines.slice(0, 5).join('; ') : text.trim()).slice(0, 1_000);
}
