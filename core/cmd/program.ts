import { Argument, Command, Option } from 'commander';
import { underlayKinds } from '../../net/underlay/plan.ts';
import { version } from '../../package.json';
import type { Catalog } from './catalog.ts';
import { labVerbs } from './lab/lab.ts';
import { storeSyntax } from './store-address.ts';
import { countOf, percentOf, portNumber, storeName } from './usage.ts';

const home = () => new Option('--home <dir>', 'folder of the cluster (default: $PINTLE_HOME, else ~/.pintle)');
const yes = (what: string) => new Option('--yes', what);
const otlp = () =>
  new Option(
    '--otlp-endpoint <url>',
    'collector for traces of pods’ starts, such as http://127.0.0.1:4318; none takes it back (default: $OTEL_EXPORTER_OTLP_ENDPOINT)',
  );
const externalIps = () =>
  new Option('--external-ips <on|off>', 'whether Services may name external addresses (default: off)').choices([
    'on',
    'off',
  ]);
const nodePortAddresses = () =>
  new Option(
    '--node-port-addresses <cidrs>',
    'ranges of hosts’ addresses on which node ports answer, with commas (default: all)',
  );
const mend = 'do what is needed without asking (install packages, start engines)';

/** Words that help and completion show; the command itself refuses others, with its own code. */
const oneOf = (name: string, about: string, words: readonly string[]): Argument =>
  Object.assign(new Argument(name, about), { argChoices: [...words] });
const pluginVerbs = [
  'new',
  'dev',
  'test',
  'check',
  'build',
  'install',
  'upgrade',
  'list',
  'show',
  'tree',
  'rollback',
  'uninstall',
];
const logNames = ['supervisor', 'engine', 'apiserver', 'controllers', 'node'];

/** The command line of this issue. Names are stable: tests and users rely on them. */
export function createProgram(catalog: Catalog = []): Command {
  const program = new Command('pintle')
    .description('A cluster that speaks the Kubernetes API, from one command.')
    .version(version, '-V, --version', 'print the version')
    .exitOverride() // cli.ts words what is wrong and chooses the exit code
    .configureOutput({ writeErr: () => {} })
    .enablePositionalOptions();
  lifeCycle(program);
  severalHosts(program);
  nodeCommand(program);
  tools(program, catalog);
  labCommand(program);
  return program;
}

function lifeCycle(program: Command): void {
  program
    .command('up')
    .description('start a one-host cluster, or take over one that was left running')
    .addOption(home())
    .addOption(yes(mend))
    .option('--port <n>', 'HTTPS port of the API server (default: 6443, or the next free one)', portNumber)
    .option('--detach', 'return when the node is Ready; the cluster goes on in the background')
    .option('--store <where>', storeSyntax, storeName)
    .addOption(new Option('--runtime <name>', 'how containers run').choices(['auto', 'docker', 'process']))
    .option('--pod-cidr <cidr>', 'addresses of pods (default: a free 10.x/16); with IPv6 as 10.x.0.0/16,fd00::/48')
    .option('--cni <dir>', 'folder of CNI configurations: its first list makes the network of pods')
    .option(
      '--service-cidr <cidr>',
      'addresses of services, or one range of each family: A,B (default: a free 10.x/16)',
    )
    .option('--node-ports <first-last>', 'node ports (default: 30000-32767, or a free block)')
    .addOption(otlp())
    .addOption(externalIps())
    .addOption(nodePortAddresses())
    .action(async (options) => (await import('./up.ts')).up(options));
  program
    .command('down')
    .description('stop the cluster; containers keep running and the next `up` adopts them')
    .addOption(home())
    .addOption(yes('remove without being asked'))
    .option('--purge', 'also remove every container, link, rule, mount and all data')
    .action(async (options) => (await import('./down.ts')).down(options));
  program
    .command('status')
    .description('what runs, where, and how it is')
    .addOption(home())
    .option('--json', 'one JSON object')
    .action(async (options) => (await import('./status.ts')).status(options));
  program
    .command('doctor')
    .description('what this machine lacks, and the commands that mend it')
    .addOption(home())
    .option('--json', 'one JSON object a check')
    .action(async (options) => (await import('./doctor/command.ts')).doctor(options));
  program
    .command('logs')
    .description('logs of the components: supervisor, apiserver, controllers, node, engine')
    .addArgument(oneOf('[component]', 'all by default', logNames))
    .addOption(home())
    .option('-f, --follow', 'go on printing')
    .option('--json', 'the lines as they are stored: a JSON object each')
    .option('--tail <n>', 'lines from the end', countOf('--tail'), 100)
    .action(async (component, options) => (await import('./logs.ts')).logs(component, options));
}

function severalHosts(program: Command): void {
  program
    .command('server')
    .description('start the server of several hosts, for others to join; its own node runs system pods only')
    .addOption(home())
    .addOption(yes(mend))
    .option('--port <n>', 'HTTPS port of the API server (default: 6443, or the next free one)', portNumber)
    .option('--advertise <addresses>', 'where other hosts reach it: addresses or names, as a,b (default: its own)')
    .option('--detach', 'return when its node is Ready; it goes on in the background')
    .option('--schedulable', 'its own node runs pods like any other')
    .option('--store <where>', storeSyntax, storeName)
    .option('--pod-cidr <cidr>', 'addresses of pods (default: a free 10.x/16); with IPv6 as 10.x.0.0/16,fd00::/48')
    .option('--cni <dir>', 'folder of CNI configurations: its first list makes the network of this host’s pods')
    .option(
      '--service-cidr <cidr>',
      'addresses of services, or one range of each family: A,B (default: a free 10.x/16)',
    )
    .option('--node-ports <first-last>', 'node ports (default: 30000-32767, or a free block)')
    .addOption(otlp())
    .addOption(externalIps())
    .addOption(nodePortAddresses())
    .option('--node-name <name>', 'of its own node (default: the name of the host)')
    .option('--node-ip <address>', 'of its own node (default: the first one advertised, else the host’s)')
    .option(
      '--node-grace <seconds>',
      'a node not heard of for so long is NotReady (default: 10)',
      countOf('--node-grace'),
    )
    .option('--evict-after <seconds>', 'pods leave such a node after so long (default: 20)', countOf('--evict-after'))
    .option('--enable <names>', 'built-in plugins, as a,b')
    .option('--disable <names>', 'built-in plugins, as a,b')
    .action(async (options) => (await import('./server.ts')).server(options));
  program
    .command('token')
    .description('what other hosts join a server with: create, list, delete ID')
    .addArgument(oneOf('<verb>', 'what to do', ['create', 'list', 'delete']))
    .argument('[id]', 'of delete')
    .addOption(home())
    .option('--ttl <time>', 'with create: how long it is good, as 90s, 15m, 2h (default: 15m)')
    .option('--json', 'with create and list: JSON')
    .action(async (verb, id, options) => (await import('./token.ts')).token(verb, id, options));
  program
    .command('join')
    .description('make this host a node of a server’s cluster')
    .argument('<server>', 'its address, such as https://10.0.0.1:6443')
    .option('--token <token>', 'made on the server: ./pintle token create')
    .addOption(home())
    .addOption(yes(mend))
    .option('--node-name <name>', 'default: the name of the host')
    .option('--node-ip <address>', 'default: the address that reaches the server')
    .option('--cni <dir>', 'folder of CNI configurations: its first list makes the network of this host’s pods')
    .option('--detach', 'return when the node is Ready; it goes on in the background')
    .action(async (address, options) => (await import('./join.ts')).join(address, options));
  program
    .command('agent')
    .description('start a host that joined, again')
    .addOption(home())
    .option('--server <address>', 'where the server is now, when it moved')
    .option('--detach', 'return when the node is Ready; it goes on in the background')
    .action(async (options) => (await import('./agent.ts')).agent(options));
}

function nodeCommand(program: Command): void {
  program
    .command('node')
    .description('hosts of a server: remove NAME')
    .addArgument(oneOf('<verb>', 'what to do', ['remove']))
    .argument('[name]', 'of the node')
    .addOption(home())
    .addOption(yes('also while pods run on it'))
    .action(async (verb, name, options) => (await import('./node.ts')).node(verb, name, options));
}

function tools(program: Command, catalog: Catalog): void {
  program
    .command('demo')
    .description('the guided main job: a replication controller behind a service, scaled, killed, healed')
    .addOption(home())
    .addOption(yes('start a cluster when none runs, and remove it at the end'))
    .action(async (options) => (await import('./demo/demo.ts')).demo(options));
  program
    .command('kubectl')
    .description('stock kubectl with this cluster’s kubeconfig')
    .addOption(home())
    .allowUnknownOption(true)
    .passThroughOptions(true)
    .helpOption(false)
    .argument('[args...]', 'arguments of kubectl')
    .action(async (args, options) => (await import('./kubectl.ts')).kubectl(args, options));
  program
    .command('secrets')
    .description('keys that Secrets are sealed with in the store: rotate (a new key, everything sealed anew), status')
    .addArgument(oneOf('<verb>', 'what to do', ['rotate', 'status']))
    .addOption(home())
    .action(async (verb, options) => (await import('./secrets.ts')).secrets(verb, options));
  program
    .command('image')
    .description('images made from files of this machine: demo, list, import FILE, remove NAME')
    .addArgument(oneOf('<verb>', 'what to do', ['demo', 'list', 'import', 'remove']))
    .argument('[name]', 'FILE of import, NAME of remove')
    .addOption(home())
    .action(async (verb, name, options) => (await import('./image.ts')).image(verb, name, options));
  program
    .command('crd')
    .description('TypeScript types of custom resources, from their definitions')
    .addArgument(oneOf('<verb>', 'what to do', ['types']))
    .argument('[source]', 'a file or an address with definitions')
    .addOption(home())
    .option('--all', 'every definition of the running cluster')
    .option('--out <dir>', 'one file for each into this folder (default: the output)')
    .action(async (verb, source, options) => (await import('./crd-types.ts')).crd(verb, source, options));
  pluginCommands(program, catalog);
  program
    .command('test')
    .description('set up and run the tests')
    .addArgument(oneOf('[tiers...]', 'all but bench by default', ['unit', 'integration', 'sim', 'net', 'e2e', 'bench']))
    .addOption(yes(mend))
    .option('--soak', 'with sim: new seeds until interrupted, or for --minutes')
    .option('--minutes <n>', 'with --soak: how long (default: a day)', countOf('--minutes'))
    .action(async (tiers, options) => (await import('./test.ts')).test(tiers, options));
  program
    .command('bench')
    .description('benchmarks, each as a ratio against its baseline in the same run')
    .argument('[name]', 'start pod idle store proxy api replication join …')
    .option('--json', 'one JSON object a line')
    .option('--peer <url>', 'with api: another API server, which gets the same load in turns with ours')
    .option('--token <token>', 'with --peer: the bearer token that it takes')
    .action(async (name, options) => (await import('./bench.ts')).bench(name, options));
  program
    .command('completion')
    .description('completion script: ./pintle completion bash|zsh|fish')
    .addArgument(oneOf('<shell>', 'for which', ['bash', 'zsh', 'fish']))
    .action(async (shell) => (await import('./completion.ts')).completion(program, shell));
}

function labCommand(program: Command): void {
  program
    .command('lab')
    .description('several real hosts on this machine, each a network namespace with its own engine')
    .addArgument(oneOf('<verb>', 'what to do', labVerbs))
    .argument(
      '[words...]',
      'HOST -- COMMAND of exec; HOSTS [HOSTS] of partition, as h1,h2 h3; HOSTS TIME of delay; HOSTS of kill, start and heal; with up, behind --: flags of server',
    )
    .addOption(home())
    .addOption(yes('with up: install what is missing; with down: remove without being asked'))
    .option('--hosts <n>', 'with up: how many (default: 3)', countOf('--hosts'))
    .addOption(
      new Option('--underlay <kind>', 'with up: what is between them (default: flat)').choices([...underlayKinds]),
    )
    .option('--port <n>', 'with up: port of the API server (default: 6443)', portNumber)
    .option('--one-way', 'with partition: the way back stays open')
    .option('--jitter <time>', 'with delay: up to so much more or less')
    .option('--loss <percent>', 'with delay: so many of a hundred packets are lost', percentOf('--loss'))
    .option('--json', 'with status: one JSON object')
    .action(async (verb, words, options) => (await import('./lab/lab.ts')).lab(verb, words, options));
}

function pluginCommands(program: Command, catalog: Catalog): void {
  program
    .command('plugin')
    .description('plugins: how they are made, installed and removed, and what runs')
    .addArgument(oneOf('<verb>', 'what to do', pluginVerbs))
    .argument(
      '[name]',
      'FOLDER of dev, test, check and build (default: this one); FOLDER, TARBALL, npm:NAME@VERSION or oci:REF of install and upgrade; a plugin’s NAME of new, show, rollback and uninstall',
    )
    .addOption(home())
    .addOption(yes('with install, upgrade and uninstall: without being asked'))
    .option('--approve-dangerous', 'with install and upgrade: also rights that let it become somebody else')
    .option('--config <json>', 'with install, upgrade and dev: its configuration, a JSON object')
    .option('--nodes <names>', 'with install and upgrade: the nodes of a plugin for named-nodes, as a,b')
    .option('--isolation <level>', 'with install and upgrade: a stronger level than it asks for: sandbox or container')
    .option('--digest <sha256:…>', 'with install and upgrade: what its bundle must be')
    .option('--against <folder>', 'with check: a former build (default: FOLDER/dist)')
    .option('--inspect', 'with dev: a debugger may attach')
    .option('--port <n>', 'with dev: port of its API server (default: a free one)', portNumber)
    .option('--chaos', 'with test: every test again with a crash after each write, stale caches, merged events')
    .option('--purge', 'with uninstall: its custom resources go too, exported first')
    .option('--json', 'with tree, list and show: JSON')
    .action(async (verb, name, options) => (await import('./plugin.ts')).plugin(verb, name, options, catalog));
}
