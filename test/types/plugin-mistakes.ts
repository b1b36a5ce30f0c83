/** The mistakes that the compiler must find in a plugin. `tsc` fails when one of them is no error any more. */
import { crd, plugin, t } from 'pintle/sdk';

const Task = crd({
  group: 'cron.example.com',
  kind: 'Task',
  version: 'v1',
  spec: t.object({ every: t.duration(), image: t.string(), keep: t.int().default(3), note: t.string().optional() }),
  status: t.object({ active: t.int(), lastRun: t.time().optional() }),
});

export default plugin({
  name: 'wrong',
  version: '1.0.0',
  sdk: '^1.0',
  needs: { pods: ['list', 'watch', 'create', 'delete'], configmaps: ['get'] },
  config: t.object({ maxActive: t.int().default(50) }),
  resources: [Task],
  setup({ api, config, reconcile }) {
    // @ts-expect-error 1: a resource that is not needed
    void api.secrets;
    // @ts-expect-error 2: a verb that is not needed
    void api.pods.update;
    // @ts-expect-error 5: a misspelt configuration field
    void config.maxActve;
    // @ts-expect-error 6: owning a kind that the plugin may not follow
    reconcile(Task, { owns: ['configmaps'] }, async () => {});
    // @ts-expect-error 6: owning a kind that is not needed at all
    reconcile(Task, { owns: ['services'] }, async () => {});
    reconcile(Task, { owns: ['pods'] }, async ({ spec }, { owned, child, status }) => {
      // @ts-expect-error 3: a misspelt field of the spec
      void spec.evry;
      // @ts-expect-error 4: a status of the wrong type
      await status({ active: '1' });
      // @ts-expect-error 7: what may be undefined, unchecked
      void owned.pods[0].metadata.creationTimestamp.getTime();
      // @ts-expect-error 7: an optional field, unchecked
      void spec.note.length;
      // @ts-expect-error a child of a kind that this object does not own
      await child('services', {});
      const right: number = spec.every.ms + spec.keep;
      await status({ active: right, lastRun: owned.pods[0]?.metadata.creationTimestamp });
    });
  },
});

plugin({
  name: 'wrong-hooks',
  version: '1.0.0',
  sdk: '^1.0',
  needs: { pods: ['list', 'validate'], services: ['mutate'], secrets: ['validate'] },
  resources: [Task],
  setup({ validate, mutate }) {
    validate('pods', ({ object }) => object.spec?.hostNetwork !== true || 'not here');
    mutate('services', ({ object }) => void (object.metadata.labels = { seen: 'yes' }));
    // @ts-expect-error refusing what needs does not name
    validate('services', () => true);
    // @ts-expect-error seeing is not changing
    mutate('pods', () => {});
    // @ts-expect-error no plugin is asked about the platform's own
    validate('secrets', () => true);
    // @ts-expect-error a misspelt field of a pod
    validate('pods', ({ object }) => object.spec?.hostNetwrk === true);
  },
});

plugin({
  name: 'wrong',
  version: '1.0.0',
  sdk: '^1.0',
  // @ts-expect-error a verb that does not exist
  needs: { pods: ['lst'] },
  setup() {},
});

plugin({
  name: 'wrong',
  version: '1.0.0',
  sdk: '^1.0',
  // @ts-expect-error a resource that does not exist
  needs: { podz: ['list'] },
  setup() {},
});

plugin({
  name: 'wrong-sync',
  version: '1.0.0',
  sdk: '^1.0',
  needs: { services: ['list', 'watch', 'create', 'patch', 'delete'], pods: ['list', 'watch'] },
  resources: [Task],
  setup({ sync }) {
    // @ts-expect-error keeping a kind that it may not create, change and delete
    sync(Task, { owns: ['pods'] }, () => ({}));
    // @ts-expect-error a child without a name
    sync(Task, { owns: ['services'] }, () => ({ children: { services: [{ metadata: {} }] } }));
    // @ts-expect-error a child of a kind that it does not own
    sync(Task, { owns: ['services'] }, () => ({ children: { configmaps: [] } }));
    // @ts-expect-error a status of another shape
    sync(Task, { owns: ['services'] }, () => ({ status: { active: 'one' } }));
  },
});
