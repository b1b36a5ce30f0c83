import { expect, test } from 'bun:test';
import { MetricsPage } from '#base';
import { podMetrics } from './metrics.ts';
import type { KubeletAccess } from './server/access.ts';

test('pods that have ended are no running ones', () => {
  const pod = (name: string, running: boolean) => ({ uid: name, namespace: 'n', name, running });
  let pods = [pod('a', true), pod('done', false), pod('b', true)];
  const page = new MetricsPage(0);
  podMetrics(page, { nodeName: 'h', pods: () => pods } as unknown as KubeletAccess);
  expect(page.text()).toContain('\nkubelet_running_pods 2\n');
  expect(page.text()).toContain('kubelet_node_name{node="h"} 1\n');
  pods = [pod('done', false)];
  expect(page.text()).toContain('\nkubelet_running_pods 0\n');
});
