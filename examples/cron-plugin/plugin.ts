import { crd, plugin, t } from "pintle/sdk";

const CronTask = crd({
  group: "cron.example.com", kind: "CronTask", version: "v1",
  spec: t.object({ every: t.duration().min("1s"), image: t.string(), keep: t.int().min(1).default(3) }),
  status: t.object({ active: t.int(), lastRun: t.time().optional() }),
  columns: { Every: ".spec.every", Active: ".status.active" },
});

export default plugin({
  name: "cron", version: "1.2.0", sdk: "^1.0",
  needs: { pods: ["list", "watch", "create", "delete"] }, // = its RBAC role; anything else: type error now, 403 later
  config: t.object({ maxActive: t.int().min(1).default(50) }), resources: [CronTask],
  setup({ api, config, metrics, now, validate, reconcile }) {
    const runs = metrics.counter("cron_runs_total", "Pods started by cron");
    validate(CronTask, ({ object }) => object.spec.image.includes(":") || "spec.image needs a tag");
    reconcile(CronTask, { owns: ["pods"] }, async ({ spec }, { owned, child, status, again }) => { // owned: newest first, never behind its own writes
      const done = owned.pods.filter((p) => p.status?.phase === "Succeeded" || p.status?.phase === "Failed");
      for (const old of done.slice(spec.keep)) await api.pods.delete(old);
      const last = owned.pods[0]?.metadata.creationTimestamp, active = owned.pods.length - done.length;
      await status({ active, lastRun: last });
      const wait = (last?.getTime() ?? 0) + spec.every.ms - now();
      if (wait > 0 || active >= config.maxActive) return again(Math.max(wait, 1000));
      await child("pods", { spec: { restartPolicy: "Never", containers: [{ name: "task", image: spec.image }] } }).then(() => runs.inc());
    });
  },
});
