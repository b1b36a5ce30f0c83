import { type KubeObject, type PodTemplate, podTemplateKind } from '#api';
import { defaultPodSpec } from './pod/defaults.ts';
import { checkPodTemplate } from './pod/validate.ts';
import { column, labelsText, nameColumn } from './rules/columns.ts';
import { plainStrategy } from './rules/plain.ts';
import { sameJson } from './rules/values.ts';

export const podTemplateStrategy = plainStrategy<PodTemplate & KubeObject>({
  kind: podTemplateKind,
  answersDeleted: true,
  defaults({ template }) {
    if (template?.spec) defaultPodSpec(template.spec);
  },
  create(draft) {
    draft.metadata.generation = 1;
  },
  update(next, current) {
    const changed = !sameJson(next.template, current.template);
    next.metadata.generation = (current.metadata.generation ?? 0) + (changed ? 1 : 0);
  },
  check: (mistakes, { template }) => checkPodTemplate(mistakes, template ?? {}, 'template'),
  columns: [
    nameColumn,
    column('Containers', 'Names of the containers.', ({ template }) =>
      (template?.spec?.containers ?? []).map((container) => container.name).join(','),
    ),
    column('Images', 'Their images.', ({ template }) =>
      (template?.spec?.containers ?? []).map((container) => container.image ?? '').join(','),
    ),
    column('Pod Labels', 'Labels of the pods.', ({ template }) => labelsText(template?.metadata?.labels)),
  ],
});
