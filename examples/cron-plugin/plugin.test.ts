import { expect, test } from "bun:test";
import { world } from "pintle/sdk/testing";
import cron from "./plugin.ts";

const task = (spec: string) => `
apiVersion: cron.example.com/v1
kind: CronTask
metadata: { name: tick }
spec: ${spec}
`;

test("it starts a pod at once and then one in each interval, and keeps the newest", async () => {
  await using w = await world({ seed: 1, plugin: cron });
  await w.apply(task("{ every: 1m, image: 'demo:1', keep: 1 }"));
  await w.settle();
  await w.expect("crontasks/tick", { status: { active: 1 } });
  await w.expect("pods", 1);
  const [first] = await w.list("pods");
  await w.exit(first!.metadata.name!);
  await w.advance("1m");
  await w.expect("pods", 2);
  expect(w.metrics["cron_runs_total"]).toBeGreaterThanOrEqual(1);
});

test("an image without a tag is refused", async () => {
  await using w = await world({ seed: 2, plugin: cron });
  await expect(w.apply(task("{ every: 1m, image: demo }"))).rejects.toThrow("spec.image needs a tag");
});
