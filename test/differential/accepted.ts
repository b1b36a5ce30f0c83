import type { Accepted } from './scenario.ts';

/** Differences that stay, each with its reason. */
export const accepted: readonly Accepted[] = [
  {
    scenario: /./,
    at: /columnDefinitions\.[^.]+\.description$/,
    reason: 'descriptions are our own sentences; upstream’s are not copied',
  },
];
