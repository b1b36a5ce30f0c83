import { existsSync, realpathSync } from 'node:fs';
import type { Exec } from '#base';

/** The C libraries that a program of this host needs, by their paths. Empty for a static one. */
export async function librariesOf(exec: Exec, program: string): Promise<string[]> {
  const { code, stdout } = await exec.run(['ldd', program]);
  return code === 0 ? parseLdd(stdout) : [];
}

/** `libc.so.6 => /lib/x/libc.so.6 (0x…)` and `/lib64/ld-linux-x86-64.so.2 (0x…)`. */
export function parseLdd(text: string): string[] {
  return text
    .split('\n')
    .map((line) => /(?:=> )?(\/\S+) \(0x/.exec(line)?.[1])
    .filter((path) => path !== undefined);
}

/** Where a program of this host is, links resolved. */
export function programPath(name: string): string | undefined {
  const found = Bun.which(name, { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' });
  return found && existsSync(found) ? realpathSync(found) : undefined;
}

/** The usual small tools: one busybox when the host has it, else a shell and coreutils one by one. */
export interface Tools {
  /** Name in the image's /bin → program of the host. */
  readonly programs: ReadonlyMap<string, string>;
  /** Names that are links to `busybox`. */
  readonly applets: readonly string[];
}
// prettier-ignore
const smallTools =
  'awk base64 basename cat chmod chown cp cut date dd df dirname du echo env expr false find grep head hostname id kill ln ls md5sum mkdir mktemp mv nc netstat nproc nslookup od paste ping printf ps pwd readlink rm rmdir sed seq sh sha256sum sleep sort stat stty sync tail tar tee test time timeout top touch tr true truncate tty umask uname uniq uptime vi watch wc which whoami xargs yes'.split(
    ' ',
  );

export async function findTools(exec: Exec): Promise<Tools> {
  const busybox = programPath('busybox');
  if (busybox) {
    const { stdout } = await exec.run([busybox, '--list']);
    const has = new Set(stdout.split('\n'));
    return { programs: new Map([['busybox', busybox]]), applets: smallTools.filter((name) => has.has(name)) };
  }
  const programs = new Map<string, string>();
  for (const name of smallTools) {
    const path = programPath(name === 'sh' ? 'dash' : name) ?? programPath(name);
    if (path) programs.set(name, path);
  }
  return { programs, applets: [] };
}
