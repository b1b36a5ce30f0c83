import type { Home } from './home.ts';

const removedFile = 'run/removed';
/** Written when the cluster says that this node was removed. */
export const noteRemoved = (home: Home, message: string): void => home.writeFile(removedFile, `${message}\n`);
export const removedWhy = (home: Home): string | undefined => home.readFile(removedFile)?.trim();
