import type { Pod } from '#api';
import type { StrategyKit } from '#sdk';
import { violations, violationText } from '../hooks/pod-security/pod-security.ts';
import { defaultPodSpec } from './pod/defaults.ts';
import { checkSelector } from './pod/placement.ts';
import { checkPodTemplate } from './pod/validate.ts';
import { ageColumn, column, nameColumn, selectorText, wide } from './rules/columns.ts';
import { plainStrategy } from './rules/plain.ts';
import { checkNotNegative } from './rules/values.ts';

/** What the built-in kinds are made of, for kinds of plugins. */
export const strategyKit: StrategyKit = {
  strategy: plainStrategy,
  defaultPodTemplate: ({ spec }) => spec && defaultPodSpec(spec),
  checkPodTemplate,
  podViolations: (template) =>
    violations({ metadata: {}, ...template } as Readonly<Pod>, { level: 'baseline' }).map(violationText),
  checkSelector,
  checkNotNegative,
  selectorText,
  column,
  wide,
  nameColumn,
  ageColumn,
};
