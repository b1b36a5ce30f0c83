import { crd, plugin, t } from "pintle/sdk";
import { nextMove } from "./sizes.ts";

const Canary = crd({
  group: "canary.example.com", kind: "Canary", plural: "canaries", version: "v1",
  spec: t.object({
    stable: t.string().min(1), canary: t.string().min(1), // replication controllers behind one service, in this namespace
    pods: t.int().min(2).max(500), percent: t.int().min(0).max(100), every: t.duration().min("1s").default("5s"),
  }).rule("self.stable != self.canary", "stable and canary must be two replication controllers"),
  status: t.object({ percent: t.int(), phase: t.string(), message: t.string().optional() }),
  columns: { Wanted: ".spec.percent", Now: ".status.percent", Phase: ".status.phase", Message: ".status.message" },
});
const track = "canary.example.com/track", keepOut = "canary.example.com/keep-out";

export default plugin({
  name: "canary", version: "1.0.0", sdk: "^1.0",
  needs: { replicationcontrollers: ["get", "patch"] },
  config: t.object({ stepPods: t.int().min(1).default(1), jumpPercent: t.int().min(1).max(100).default(50) }),
  resources: [Canary],
  setup({ api, config, metrics, validate, schedule, reconcile }) {
    const moves = metrics.counter("canary_moves_total", "Changes of size");

    // What a schema cannot say: it depends on how far the shift has come.
    validate(Canary, ({ object, old }) => {
      const now = old?.status?.percent ?? 0;
      return object.spec.percent - now <= config.jumpPercent || `spec.percent may rise by ${config.jumpPercent} at once, and it is ${now} now`;
    });

    schedule({
      name: "keep-out", // pods of a canary stay away from nodes that say so
      filter: (pod, nodes) => nodes.map((node) =>
        pod.metadata.labels?.[track] !== "canary" || node.metadata.labels?.[keepOut] !== "true" || "the node takes no canaries"),
    });

    reconcile(Canary, {}, async ({ metadata: { namespace }, spec }, { status, again }) => {
      const read = (name: string) => api.replicationcontrollers.get({ namespace, name }).catch(() => undefined);
      const [stable, canary] = [await read(spec.stable), await read(spec.canary)];
      if (!stable || !canary) {
        await status({ percent: 0, phase: "Missing", message: `there is no replication controller ${stable ? spec.canary : spec.stable}` });
        return again(spec.every.ms);
      }
      const side = ({ spec, status }: typeof stable) => ({ size: spec?.replicas ?? 1, ready: status?.readyReplicas ?? 0 });
      const [s, c] = [side(stable), side(canary)];
      const next = nextMove({ pods: spec.pods, percent: spec.percent, stepPods: config.stepPods }, s, c);
      for (const [object, from, replicas] of [[canary, c.size, next.canary], [stable, s.size, next.stable]] as const)
        if (from !== replicas) {
          await api.replicationcontrollers.patch(object, { spec: { replicas } });
          moves.inc();
        }
      await status({ percent: Math.round((100 * c.ready) / Math.max(1, c.ready + s.ready)), phase: next.phase });
      return again(spec.every.ms);
    });
  },
});
