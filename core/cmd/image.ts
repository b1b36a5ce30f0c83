import { readdirSync, rmSync, statSync } from 'node:fs';
import { PintleError, silentLog } from '#base';
import { readRunState } from './components.ts';
import { askEngine, findEngine } from './engine.ts';
import { type Config, type Home, openHome } from './home.ts';
import { makeDemoImage, makePauseImage } from './image/demo.ts';
import { enginesOf } from './lab/engines.ts';
import { isLab } from './lab/record.ts';
import { isAlive } from './processes.ts';
import { createProgress } from './progress.ts';

/** `image demo|list|import|remove`, in the engine of the cluster and as trees of the process runtime. */
export async function image(verb: string, name: string | undefined, options: { home?: string }): Promise<void> {
  const places = await placesOf(openHome(options.home));
  const each = async (work: (place: Place) => Promise<void>): Promise<void> => {
    for (const place of places) await work(place); // one after the other: an image is in memory while it is sent
  };
  switch (verb) {
    case 'demo': {
      const progress = createProgress();
      return each(({ name: host, home, socket }) =>
        progress.step(`making pintle/demo:local from files of this machine${host ? ` for ${host}` : ''}`, () =>
          makeImages(home, socket),
        ),
      );
    }
    case 'list':
      return list(places);
    case 'import':
      return each(({ name: host, socket }) => importFile(requireName(name, 'import FILE'), socket, host));
    case 'remove':
      return each(({ home, socket }) => remove(home, requireName(name, 'remove NAME'), socket));
    default:
      throw new PintleError(
        'UNKNOWN_VERB',
        `there is no image ${verb}`,
        'use image demo, list, import FILE or remove NAME',
      );
  }
}

/** Where images go: an engine, or none, and a home folder. */
interface Place {
  /** Of a lab's host. */
  readonly name?: string;
  readonly home: Home;
  readonly socket: string | undefined;
}

/** Every host of a lab, or the one cluster of a home. */
async function placesOf(home: Home): Promise<Place[]> {
  if (!isLab(home)) {
    const config = home.exists() ? home.read() : undefined;
    return [{ home, socket: await socketOf(home, config) }];
  }
  const places = await enginesOf(home);
  return places.map(({ host, ...place }) => ({ name: host.name, ...place }));
}

export const makeDemoImages = async (home: Home, config: Config): Promise<void> =>
  makeImages(home, await socketOf(home, config));

async function makeImages(home: Home, socket: string | undefined): Promise<void> {
  home.makeFolders();
  const options = { home: home.folder, docker: socket ? { socketPath: socket } : undefined, log: silentLog };
  await makeDemoImage(options);
  await makePauseImage(options);
}

async function socketOf(home: Home, config: Config | undefined): Promise<string | undefined> {
  if (!config) return (await findEngine())?.socket;
  if (!config.engine) return undefined;
  if (await askEngine(config.engine.socket)) return config.engine.socket;
  if (config.engine.private && !isAlive(readRunState(home)?.supervisor))
    throw new PintleError(
      'ENGINE_STOPPED',
      'the private engine of this cluster is stopped',
      `start the cluster first: ./pintle up --detach --home ${home.folder}`,
    );
  throw new PintleError(
    'ENGINE_GONE',
    `the engine at ${config.engine.socket} does not answer`,
    'start it and run this again',
  );
}

function requireName(name: string | undefined, usage: string): string {
  if (!name)
    throw new PintleError('BAD_ARGUMENTS', `image ${usage.split(' ')[0]} needs a name`, `./pintle image ${usage}`);
  return name;
}

async function list(places: readonly Place[]): Promise<void> {
  const rows: string[][] = [['IMAGE', 'SIZE', 'WHERE']];
  for (const { name, home, socket } of places) {
    if (socket) {
      const answer = (await (await fetch('http://localhost/images/json', { unix: socket })).json()) as {
        RepoTags: string[] | null;
        Size: number;
      }[];
      for (const one of answer)
        for (const tag of one.RepoTags ?? []) rows.push([tag, `${Math.round(one.Size / 1e6)} MB`, name ?? 'engine']);
    }
    if (name) continue; // hosts of a lab run containers alone
    try {
      for (const folder of readdirSync(home.path('images')))
        rows.push([decodeURIComponent(folder), '-', 'home folder']);
    } catch {} // no images yet
  }
  for (const row of rows) process.stdout.write(`${row[0]!.padEnd(48)}${row[1]!.padEnd(12)}${row[2]}\n`);
}

async function importFile(path: string, socket: string | undefined, host?: string): Promise<void> {
  if (!socket)
    throw new PintleError(
      'NO_ENGINE',
      'images are imported into an engine, and this cluster has none',
      'start an engine, or use ./pintle image demo for the process runtime',
    );
  if (!statSync(path, { throwIfNoEntry: false })?.isFile())
    throw new PintleError('FILE_MISSING', `${path} is not a file`, 'name an archive made by docker save');
  const response = await fetch('http://localhost/images/load?quiet=1', {
    unix: socket,
    method: 'POST',
    headers: { 'content-type': 'application/x-tar' },
    body: Bun.file(path),
  });
  const text = await response.text();
  if (!response.ok || text.includes('"error"'))
    throw new PintleError(
      'IMPORT_FAILED',
      `the engine refused ${path}: ${text.trim().slice(0, 300)}`,
      'name an archive made by docker save',
    );
  process.stdout.write(`${host ? `${host}: ` : ''}${text.trim().replace(/^.*"stream":"([^"]*)\\n".*$/s, '$1')}\n`);
}

async function remove(home: Home, name: string, socket: string | undefined): Promise<void> {
  rmSync(home.path('images', encodeURIComponent(name)), { recursive: true, force: true });
  if (!socket) return;
  const response = await fetch(`http://localhost/images/${name}`, { unix: socket, method: 'DELETE' });
  if (!response.ok && response.status !== 404)
    throw new PintleError(
      'REMOVE_FAILED',
      `the engine keeps ${name}: ${((await response.json()) as { message: string }).message}`,
      'remove the containers that use it first',
    );
}
