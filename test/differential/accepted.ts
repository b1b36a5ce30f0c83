import type { Accepted } from './scenario.ts';

/** Differences that stay, each with its reason. */
export const accepted: readonly Accepted[] = [];
