import { type Exec, PintleError } from '#base';

const nftTimeoutMs = 30_000;

/** One call of `nft`; its output. Throws NFT_FAILED with what it said. */
export async function runNft(
  exec: Exec,
  argv: readonly string[],
  { stdin, netns }: { readonly stdin?: string; readonly netns?: string } = {},
): Promise<string> {
  const result = await exec.run(['nft', ...argv], { stdin, netns, timeoutMs: nftTimeoutMs });
  if (result.code === 0) return result.stdout;
  throw new PintleError(
    'NFT_FAILED',
    `nft ${argv.join(' ')} failed: ${result.stderr.trim().slice(0, 500)}`,
    result.code === 127
      ? 'Install the package nftables.'
      : 'Run `pintle doctor`: it checks nftables and its kernel parts.',
  );
}
