/** The folder of a Go module, such as `k8s.io/api@v0.37.1`, in the module cache; downloads it when allowed. Throws when it is not to be had. */
export function moduleFolder(module: string): string {
  const result = Bun.spawnSync(['go', 'mod', 'download', '-json', module]);
  const { Dir, Error: why } = JSON.parse(result.stdout.toString() || '{}') as { Dir?: string; Error?: string };
  if (!Dir) throw new Error(`the Go module ${module} is not to be had: ${why ?? result.stderr.toString().trim()}`);
  return Dir;
}
/** Where a generator writes: its first argument, for a test that compares, else its own folder. */
export const targetFolder = (own: string): string => process.argv[2] ?? own;
