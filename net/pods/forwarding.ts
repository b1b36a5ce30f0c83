import type { Exec } from '#base';
import { familyOf } from './ranges.ts';

/**
 * Firewalls of others. A drop in any base chain of the kernel is final, so an accept of our own does not help where
 * Docker, firewalld or ufw drop forwarded packets: the accept must stand where they look.
 */
export interface ForwardingFacts {
  /** The iptables chain to put accepts into; absent when nothing drops. */
  readonly chain?: 'DOCKER-USER' | 'FORWARD';
  readonly present: readonly string[];
}
export const acceptComment = (owner: string) => `pintle ${owner}`;

/** Reads `iptables -S`. */
export function parseForwarding(text: string, owner: string): ForwardingFacts {
  const lines = text.split('\n');
  const drops =
    lines.some((line) => /^-P FORWARD (DROP|REJECT)$/.test(line)) ||
    lines.some((line) => /^-A FORWARD .*-j (REJECT|DROP|ufw-)/.test(line));
  const docker = lines.includes('-N DOCKER-USER') && lines.some((line) => /^-A FORWARD .*DOCKER-USER/.test(line));
  const present = lines.filter(
    (line) => line.startsWith('-A ') && line.includes(`--comment "${acceptComment(owner)}"`),
  );
  return { ...(docker ? { chain: 'DOCKER-USER' as const } : drops ? { chain: 'FORWARD' as const } : {}), present };
}

const rule = (direction: '-s' | '-d', range: string, owner: string) => [
  ...[direction, range, '-m', 'comment', '--comment', acceptComment(owner), '-j', 'ACCEPT'],
];

const programs = { 4: 'iptables', 6: 'ip6tables' } as const;

/** Lets packets from and to these ranges through where a foreign firewall drops them. Costs one child process a family when nothing is missing. */
export async function acceptForwarding(exec: Exec, owner: string, ranges: readonly string[]): Promise<void> {
  for (const family of [4, 6] as const) {
    const own = ranges.filter((range) => familyOf(range) === family);
    if (own.length > 0) await acceptFamily(exec, programs[family], owner, own);
  }
}
async function acceptFamily(exec: Exec, program: string, owner: string, ranges: readonly string[]): Promise<void> {
  const listed = await exec.run([program, '-w', '-S']);
  if (listed.code !== 0) return; // no iptables on this host: nobody drops with it
  const { chain, present } = parseForwarding(listed.stdout, owner);
  if (!chain) return;
  for (const range of ranges)
    for (const direction of ['-s', '-d'] as const) {
      if (present.some((line) => line.startsWith(`-A ${chain} `) && line.includes(`${direction} ${range} `))) continue;
      const added = await exec.run([program, '-w', '-I', chain, '1', ...rule(direction, range, owner)]);
      if (added.code !== 0) throw new Error(`cannot let pod traffic through ${chain}: ${added.stderr.trim()}`);
    }
}

export async function dropForwardingRules(exec: Exec, owner: string): Promise<void> {
  for (const program of Object.values(programs)) {
    const listed = await exec.run([program, '-w', '-S']);
    if (listed.code !== 0) continue;
    for (const line of parseForwarding(listed.stdout, owner).present) {
      const words = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map((match) => match[1] ?? match[2]!);
      await exec.run([program, '-w', '-D', ...words.slice(1)]);
    }
  }
}

/** Host firewalls that also look at pod traffic, for `doctor`: what is active, and the commands that let a range through. */
export async function detectFirewalls(
  exec: Exec,
  ranges: readonly string[],
): Promise<{ name: 'firewalld' | 'ufw'; mend: string[] }[]> {
  const [firewalld, ufw] = await Promise.all([exec.run(['firewall-cmd', '--state']), exec.run(['ufw', 'status'])]);
  return [
    ...(firewalld.code === 0 && firewalld.stdout.includes('running')
      ? [
          {
            name: 'firewalld' as const,
            mend: [
              ...ranges.map((range) => `firewall-cmd --permanent --zone=trusted --add-source=${range}`),
              'firewall-cmd --reload',
            ],
          },
        ]
      : []),
    ...(ufw.code === 0 && /Status: active/.test(ufw.stdout)
      ? [
          {
            name: 'ufw' as const,
            mend: ranges.flatMap((range) => [
              `ufw route allow from ${range}`,
              `ufw route allow to ${range}`,
              `ufw allow from ${range}`,
            ]),
          },
        ]
      : []),
  ];
}
