import { expect, test } from "bun:test";
import { world } from "pintle/sdk/testing";
import canary from "./plugin.ts";

const controller = (name: string, replicas: number) => `
apiVersion: v1
kind: ReplicationController
metadata: { name: ${name} }
spec:
  replicas: ${replicas}
  selector: { app: shop, canary.example.com/track: ${name} }
  template:
    metadata: { labels: { app: shop, canary.example.com/track: ${name} } }
    spec: { containers: [{ name: web, image: 'demo:1' }] }
`;
const share = (percent: number, more = "") => `
apiVersion: canary.example.com/v1
kind: Canary
metadata: { name: shop }
spec: { stable: stable, canary: canary, pods: 4, percent: ${percent}, every: 1s ${more} }
`;

test("half of the pods become the canary's, then none", async () => {
  await using w = await world({ seed: 1, plugin: canary });
  await w.apply(controller("stable", 4), controller("canary", 0), share(50));
  await w.until(() => w.expect("canaries/shop", { status: { percent: 50, phase: "Done" } }), "2m");
  await w.expect("replicationcontrollers/stable", { spec: { replicas: 2 } });
  await w.expect("replicationcontrollers/canary", { spec: { replicas: 2 } });
  await w.apply(share(0));
  await w.until(() => w.expect("canaries/shop", { status: { percent: 0, phase: "Done" } }), "2m");
  await w.expect("replicationcontrollers/stable", { spec: { replicas: 4 } });
  expect(w.metrics["canary_moves_total"]).toBeGreaterThan(0);
}, 60_000);

test("a jump is refused, and so is a canary of itself", async () => {
  await using w = await world({ seed: 2, plugin: canary });
  const refusal = (text: string) => w.apply(text).then(() => "", ({ message }: Error) => message);
  expect(await refusal(share(60))).toContain("spec.percent may rise by 50 at once, and it is 0 now");
  expect(await refusal(share(10).replace("canary: canary", "canary: stable"))).toContain("must be two replication controllers");
}, 60_000);

test("what is missing is named, and waited for", async () => {
  await using w = await world({ seed: 3, plugin: canary });
  await w.apply(controller("stable", 4), share(25));
  await w.until(() => w.expect("canaries/shop", { status: { message: "there is no replication controller canary" } }));
  await w.apply(controller("canary", 0));
  await w.until(() => w.expect("canaries/shop", { status: { percent: 25, phase: "Done" } }), "2m");
}, 60_000);
