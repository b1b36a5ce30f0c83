import { type PluginObject, type PluginStatus, pluginKind } from '../host/kind.ts';
import { needLines } from '../host/rbac.ts';
import { connect } from './connect.ts';
import { openHome } from './home.ts';
import type { PluginOptions } from './plugin.ts';

export async function list(options: PluginOptions): Promise<void> {
  const home = openHome(options.home);
  const { items } = await connect(home, home.read(), 'admin').list(pluginKind);
  process.stdout.write(options.json ? `${JSON.stringify(items)}\n` : listText(items));
}

export async function show(name: string, options: PluginOptions): Promise<void> {
  const home = openHome(options.home);
  const plugin = await connect(home, home.read(), 'admin').get(pluginKind, { name });
  process.stdout.write(options.json ? `${JSON.stringify(plugin)}\n` : showText(plugin));
}

/** Pure. */
export function listText(plugins: readonly PluginObject[]): string {
  if (plugins.length === 0) return 'no plugins are installed\n';
  const line = (...cells: string[]) =>
    `${cells
      .map((cell, index) => cell.padEnd([20, 12, 14, 10][index]!))
      .join('')
      .trimEnd()}\n`;
  return [
    line('NAME', 'VERSION', 'PHASE', 'RESTARTS'),
    ...plugins.map(({ metadata, spec, status }) =>
      line(
        metadata.name ?? '',
        status?.activeVersion ?? spec?.version ?? '',
        status?.phase ?? 'Pending',
        String(status?.restarts ?? 0),
      ),
    ),
  ].join('');
}

/** Pure. */
export function showText({ metadata, spec, status }: PluginObject): string {
  const needs = Object.entries(spec?.approvedNeeds ?? {}).flatMap(([resource, verbs]) =>
    needLines(resource, verbs).map((line) => `  ${line}`),
  );
  const memory =
    status?.memoryBytes === undefined ? [] : [`memory    ${(status.memoryBytes / 1024 / 1024).toFixed(1)} MiB`];
  return [
    `name      ${metadata.name}`,
    `version   ${status?.activeVersion ?? '-'} (wanted: ${spec?.version})`,
    `phase     ${status?.phase ?? 'Pending'}, ${status?.restarts ?? 0} restarts`,
    `digest    ${spec?.digest}`,
    `last good ${status?.lastGood?.version ?? '-'}`,
    ...memory,
    `sandbox   ${status?.sandbox?.join('; ') || '-'}`,
    'may:',
    ...(needs.length > 0 ? needs : ['  nothing beyond its own kinds']),
    ...contributions(status ?? {}),
    ...onNodes(status ?? {}),
    'conditions:',
    ...(status?.conditions ?? []).map(
      ({ type, status: value, reason, message }) => `  ${type} ${value} ${reason}${message ? `: ${message}` : ''}`,
    ),
    '',
  ].join('\n');
}

const onNodes = ({ nodes = [] }: PluginStatus): string[] =>
  nodes.length === 0
    ? []
    : [
        'nodes:',
        ...nodes.map(({ name, phase, version = '-', restarts, message }) => {
          return `  ${name}  ${version}  ${phase}, ${restarts} restarts${message ? `: ${message}` : ''}`;
        }),
      ];

function contributions({ hooks = [], apis = [], commands = [], panels = [] }: PluginStatus): string[] {
  const section = (title: string, lines: readonly string[]): string[] =>
    lines.length > 0 ? [title, ...lines.map((line) => `  ${line}`)] : [];
  return [
    ...section(
      'hooks:',
      hooks.map(({ name, failurePolicy, p50 = '-', p99 = '-', timeouts }) => {
        return `${name}  ${failurePolicy}, p50 ${p50}, p99 ${p99}, ${timeouts} timeouts`;
      }),
    ),
    ...section(
      'APIs:',
      apis.map(({ group, version, kind, verbs }) => `${group}/${version} ${kind}: ${verbs.join(', ')}`),
    ),
    ...section(
      'commands:',
      commands.map(({ name, help }) => `${name}  ${help}`),
    ),
    ...section(
      'panels, for when there is a dashboard:',
      panels.map(({ name, title, module }) => `${name}  ${title} (${module})`),
    ),
  ];
}
