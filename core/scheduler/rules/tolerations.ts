import type { Pod, Taint, Toleration } from '#api';

export function tolerates(toleration: Readonly<Toleration>, taint: Readonly<Taint>): boolean {
  if (toleration.effect && toleration.effect !== taint.effect) return false;
  if (toleration.key && toleration.key !== taint.key) return false;
  switch (toleration.operator ?? 'Equal') {
    case 'Exists':
      return true;
    case 'Equal':
      return toleration.key !== undefined && (toleration.value ?? '') === (taint.value ?? '');
    case 'Lt':
      return Number(taint.value) < Number(toleration.value);
    case 'Gt':
      return Number(taint.value) > Number(toleration.value);
    default:
      return false;
  }
}
export const tolerated = (pod: Readonly<Pod>, taint: Readonly<Taint>): boolean =>
  (pod.spec?.tolerations ?? []).some((toleration) => tolerates(toleration, taint));
