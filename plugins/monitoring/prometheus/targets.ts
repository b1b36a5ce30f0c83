import { type KubeObject, type Node, nodeKind, type Pod, podKind, type Reader } from '#sdk';

/** What Prometheus' HTTP discovery reads, with the labels that its own Kubernetes discovery would make (it is left out of some builds). */
interface Targets {
  readonly targets: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
}
const prefix = '__meta_kubernetes_';

export function nodeTargets(reader: Pick<Reader, 'list'>): Targets[] {
  return (reader.list(nodeKind) as readonly Readonly<Node & KubeObject>[]).map(({ metadata, status }) => {
    const ip = status?.addresses?.find(({ type }) => type === 'InternalIP')?.address ?? '';
    const port = status?.daemonEndpoints?.kubeletEndpoint?.Port ?? 10250;
    return { targets: [`${ip}:${port}`], labels: { [`${prefix}node_name`]: metadata.name ?? '' } };
  });
}

const word = /[^a-zA-Z0-9_]/g;
/** Pods that ask to be read, by the annotation `prometheus.io/scrape`. */
export function podTargets(reader: Pick<Reader, 'list'>): Targets[] {
  const pods = reader.list(podKind) as readonly Readonly<Pod & KubeObject>[];
  return pods
    .filter(({ metadata, status }) => metadata.annotations?.['prometheus.io/scrape'] === 'true' && status?.podIP)
    .map(({ metadata, spec, status }) => {
      const annotations = Object.entries(metadata.annotations ?? {}).filter(([key]) =>
        key.startsWith('prometheus.io/'),
      );
      return {
        targets: [status!.podIP!],
        labels: {
          [`${prefix}namespace`]: metadata.namespace ?? '',
          [`${prefix}pod_name`]: metadata.name ?? '',
          [`${prefix}pod_ip`]: status!.podIP!,
          [`${prefix}pod_phase`]: status?.phase ?? '',
          [`${prefix}pod_node_name`]: spec?.nodeName ?? '',
          ...Object.fromEntries(
            annotations.map(([key, value]) => [`${prefix}pod_annotation_${key.replaceAll(word, '_')}`, value]),
          ),
        },
      };
    });
}
