import type { Container, Pod } from '#api';
import type { ContainerSpec, ImageInfo } from '#sdk';
import { podText } from './names.ts';

/** The container's own security context over the pod's. */
export function securityOf(pod: Readonly<Pod>, container: Container): ContainerSpec['security'] {
  const own = container.securityContext;
  const whole = pod.spec?.securityContext;
  const groups = [...(whole?.fsGroup === undefined ? [] : [whole.fsGroup]), ...(whole?.supplementalGroups ?? [])];
  const privileged = own?.privileged ?? false;
  const seccomp = own?.seccompProfile ?? whole?.seccompProfile;
  const adds = own?.capabilities?.add ?? [];
  return {
    runAsUser: own?.runAsUser ?? whole?.runAsUser,
    runAsGroup: own?.runAsGroup ?? whole?.runAsGroup,
    supplementalGroups: groups.length ? groups : undefined,
    privileged,
    readOnlyRoot: own?.readOnlyRootFilesystem ?? false,
    noNewPrivileges: own?.allowPrivilegeEscalation === false && !privileged && !adds.includes('SYS_ADMIN'),
    capabilitiesAdd: adds,
    capabilitiesDrop: own?.capabilities?.drop ?? [],
    seccompUnconfined: privileged || seccomp?.type === 'Unconfined' || undefined,
  };
}

/** Why runAsNonRoot forbids this container, or undefined. `image.user` is what the image itself says. */
export function nonRootViolation(pod: Readonly<Pod>, container: Container, image: ImageInfo): string | undefined {
  const own = container.securityContext;
  const whole = pod.spec?.securityContext;
  if (!(own?.runAsNonRoot ?? whole?.runAsNonRoot)) return undefined;
  const where = `(pod: ${JSON.stringify(podText(pod))}, container: ${container.name})`;
  const user = own?.runAsUser ?? whole?.runAsUser;
  if (user !== undefined) return user === 0 ? `container's runAsUser breaks non-root policy ${where}` : undefined;
  const name = (image.user ?? '').split(':')[0]!;
  if (name !== '' && !/^\d+$/.test(name))
    return `container has runAsNonRoot and image has non-numeric user (${name}), cannot verify user is non-root ${where}`;
  if (Number(name) === 0) return `container has runAsNonRoot and image will run as root ${where}`;
  return undefined;
}
