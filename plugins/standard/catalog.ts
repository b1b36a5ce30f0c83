import type { Catalog } from '../../core/cmd/catalog.ts';

/** The distribution: every built-in plugin, in order. `api`, `controllers` and `node` are loaded by the process that runs them. */
export const catalog: Catalog = [
  { name: 'crd', enabled: true, api: () => import('../crd/api.ts') },
  { name: 'apps', enabled: true, api: () => import('../apps/api.ts'), controllers: () => import('../apps/plugin.ts') },
  {
    name: 'dns',
    enabled: true,
    api: () => import('../dns/api.ts'),
    controllers: () => import('../dns/plugin.ts'),
    node: () => import('../dns/node.ts'),
  },
  {
    name: 'ingress',
    enabled: true,
    api: () => import('../ingress/api.ts'),
    controllers: () => import('../ingress/plugin.ts'),
    node: () => import('../ingress/node.ts'),
  },
  {
    name: 'overlay',
    enabled: 'several-hosts',
    connectsHosts: true,
    requires: ['crd'],
    api: () => import('../overlay/api.ts'),
    controllers: () => import('../overlay/plugin.ts'),
    node: () => import('../overlay/node.ts'),
  },
  {
    name: 'monitoring',
    enabled: true,
    api: () => import('../monitoring/api.ts'),
    commands: () => import('../monitoring/commands.ts'),
  },
  {
    name: 'network-policy',
    enabled: true,
    gatesPods: true,
    api: () => import('../network-policy/api.ts'),
    node: () => import('../network-policy/node.ts'),
  },
  {
    name: 'load-balancer',
    enabled: true,
    requires: ['crd'],
    api: () => import('../load-balancer/api.ts'),
    controllers: () => import('../load-balancer/plugin.ts'),
    node: () => import('../load-balancer/node.ts'),
  },
];
