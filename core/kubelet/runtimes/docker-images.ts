import { Readable } from 'node:stream';
import { ImageError, type ImageInfo } from '#sdk';
import type { DockerEngine } from './docker-engine.ts';
import { parseImageReference } from './image-reference.ts';
import { pauseBinary } from './pause-binary.ts';
import { tar } from './tar.ts';

export const pauseImage = 'pintle/pause:local';
const statusOf = (error: unknown): number | undefined => (error as { statusCode?: number }).statusCode;
/** The engine's own sentence, without the client library's words around it. */
export function engineMessage(error: unknown): string {
  const json = (error as { json?: { message?: string } }).json;
  if (json?.message) return json.message;
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/^\(HTTP code \d+\) [^-]* - /, '').trim();
}
export const isStatus = (error: unknown, ...codes: number[]): boolean => codes.includes(statusOf(error) ?? 0);

interface InspectedImage {
  readonly Id: string;
  readonly RepoTags: readonly string[] | null;
  readonly RepoDigests: readonly string[] | null;
  readonly Size: number;
  readonly Config: { readonly User?: string } | null;
}

export async function inspectImage(engine: DockerEngine, name: string): Promise<ImageInfo | undefined> {
  try {
    const image = await engine.call<InspectedImage>('GET', `/images/${name}/json`);
    return {
      id: image.Id,
      names: image.RepoTags ?? [],
      digests: image.RepoDigests ?? [],
      sizeBytes: image.Size,
      ...(image.Config?.User ? { user: image.Config.User } : {}),
    };
  } catch (error) {
    if (isStatus(error, 404)) return undefined;
    throw new ImageError('ImageInspectError', `Failed to inspect image "${name}": ${engineMessage(error)}`);
  }
}

export async function ensureDockerImage(
  engine: DockerEngine,
  image: string,
  policy: 'Always' | 'IfNotPresent' | 'Never',
  signal: AbortSignal,
): Promise<ImageInfo> {
  const reference = parseImageReference(image);
  if (typeof reference === 'string' && !/^(sha256:)?[0-9a-f]{64}$/.test(image))
    throw new ImageError(
      'InvalidImageName',
      `Failed to apply default image tag "${image}": couldn't parse image name "${image}": ${reference}`,
    );
  if (policy !== 'Always') {
    const present = await inspectImage(engine, image);
    if (present) return present;
    if (policy === 'Never')
      throw new ImageError('ErrImageNeverPull', `Container image "${image}" is not present with pull policy of Never`);
  }
  if (typeof reference === 'string') throw new ImageError('ErrImagePull', `no image with the id ${image}`);
  const full = `${reference.name}${reference.digest ? `@${reference.digest}` : `:${reference.tag}`}`;
  await pull(engine, full, signal);
  const pulled = await inspectImage(engine, image);
  if (!pulled) throw new ImageError('ErrImagePull', `${image} was pulled, but the engine does not know it`);
  return pulled;
}

async function pull(engine: DockerEngine, image: string, signal: AbortSignal): Promise<void> {
  let failure: string | undefined;
  try {
    const progress = (await (await engine.library()).pull(image, { abortSignal: signal })) as unknown as Readable;
    let rest = '';
    for await (const chunk of progress) {
      const lines = (rest + String(chunk)).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) failure = errorOf(line) ?? failure;
    }
    failure = errorOf(rest) ?? failure;
  } catch (error) {
    if (signal.aborted) throw new ImageError('ErrImagePull', 'context canceled');
    throw new ImageError('ErrImagePull', `Error response from daemon: ${engineMessage(error)}`);
  }
  if (failure !== undefined) throw new ImageError('ErrImagePull', failure);
}

function errorOf(line: string): string | undefined {
  if (!line.includes('"error"')) return undefined;
  try {
    return (JSON.parse(line) as { error?: string }).error;
  } catch {
    return undefined;
  }
}

/** Makes the pause image when the engine lacks it. Resolves to its id. */
export async function ensurePauseImage(engine: DockerEngine, arch: string): Promise<string> {
  const present = await inspectImage(engine, pauseImage);
  if (present) return present.id;
  const [repo, tag] = pauseImage.split(':');
  await importImage(
    engine,
    repo!,
    tag!,
    tar([{ type: 'file', name: 'pause', mode: 0o755, bytes: pauseBinary(arch) }]),
    ['ENTRYPOINT ["/pause"]'],
  );
  const made = await inspectImage(engine, pauseImage);
  if (!made) throw new Error(`the engine did not keep ${pauseImage}`);
  return made.id;
}

export async function importImage(
  engine: DockerEngine,
  repo: string,
  tag: string,
  content: AsyncIterable<Uint8Array>,
  changes: readonly string[],
): Promise<void> {
  const answer = (await (
    await engine.library()
  ).importImage(Readable.from(content, { objectMode: false }), {
    repo,
    tag,
    changes: [...changes],
  } as { repo: string; tag: string })) as unknown as Readable;
  let text = '';
  for await (const chunk of answer) text += String(chunk);
  const failure = text
    .split('\n')
    .map(errorOf)
    .find((each) => each !== undefined);
  if (failure) throw new Error(failure);
  const id = /"status":\s*"(sha256:[0-9a-f]{64})"/.exec(text)?.[1];
  const named = await inspectImage(engine, `${repo}:${tag}`);
  if (!id || named?.id === id) return;
  await engine.call('POST', `/images/${id}/tag`, { query: { repo, tag } }); // Podman takes no notice of the tag and calls it latest
  if ((await inspectImage(engine, `${repo}:latest`))?.id === id) await engine.call('DELETE', `/images/${repo}:latest`);
}
