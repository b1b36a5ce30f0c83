import * as fs from 'node:fs/promises';

/** Files of this machine: the door through which simulated code reaches them. As node:fs/promises. */
export type Files = Pick<
  typeof fs,
  | 'chmod'
  | 'chown'
  | 'lstat'
  | 'mkdir'
  | 'open'
  | 'readdir'
  | 'readFile'
  | 'readlink'
  | 'realpath'
  | 'rename'
  | 'rm'
  | 'stat'
  | 'statfs'
  | 'symlink'
  | 'writeFile'
>;
export const systemFiles: Files = fs;
