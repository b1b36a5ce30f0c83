import { PintleError } from '#base';
import { withCuts } from '../../../net/underlay/cuts.ts';
import { takeTurn } from '../lock.ts';
import { createProgress } from '../progress.ts';
import { applyDelays, millisecondsOf } from './delay.ts';
import { applyCuts, killHost, layUnderlay, startHost } from './hosts.ts';
import { type Lab, openLab, readLab } from './record.ts';

interface Options {
  readonly home?: string;
}
/** One change at a time, on what the record says then. */
async function changing(
  options: Options,
  title: (lab: Lab) => string,
  work: (lab: Lab) => Promise<void>,
): Promise<void> {
  const opened = openLab(options.home);
  const said = title(opened); // wrong words are refused before anything waits
  const progress = createProgress();
  using _turn = await takeTurn(opened.home, progress);
  const lab = readLab(opened.home);
  await progress.step(said, () => work(lab));
}

/** `lab partition A B`: nothing passes between the two groups of hosts any more, or nothing from A to B. Without B: all others. */
export function partition(
  left: string,
  right: string | undefined,
  options: Options & { oneWay?: boolean },
): Promise<void> {
  const sides = (lab: Lab): [string[], string[]] => {
    const from = lab.named(left, 'outside too');
    const to = right
      ? lab.named(right, 'outside too')
      : lab.hosts.map(({ name }) => name).filter((one) => !from.includes(one));
    return [from, to];
  };
  const title = (lab: Lab) => {
    const [from, to] = sides(lab).map((names) => names.join(', '));
    return options.oneWay ? `cutting the way from ${from} to ${to}` : `cutting ${from} from ${to}`;
  };
  return changing(options, title, (lab) =>
    applyCuts(lab.save({ cuts: withCuts(lab.record.cuts, ...sides(lab), !options.oneWay) })),
  );
}

/** `lab heal`: no cuts and no delays any more, of one host or of all. */
export function heal(names: string | undefined, options: Options): Promise<void> {
  const title = (lab: Lab) => `healing ${names ? lab.named(names, 'outside too').join(', ') : 'all links'}`;
  return changing(options, title, async (lab) => {
    const healed = names ? lab.named(names, 'outside too') : undefined;
    const keeps = (...hosts: string[]) => healed !== undefined && !hosts.some((one) => healed.includes(one));
    const next = lab.save({
      cuts: lab.record.cuts.filter(({ from, to }) => keeps(from, to)),
      delays: lab.record.delays.filter(({ host }) => keeps(host)),
    });
    await Promise.all([applyCuts(next), applyDelays(next)]);
  });
}

/** `lab delay HOST TIME`: whatever a host sends or gets takes so much longer, each way. */
export function delay(
  names: string,
  time: string,
  options: Options & { jitter?: string; loss?: number },
): Promise<void> {
  const delayMs = millisecondsOf(time, 'delay');
  const jitterMs = millisecondsOf(options.jitter ?? '0', '--jitter');
  const lossPercent = options.loss ?? 0;
  if (jitterMs > delayMs) throw new PintleError('BAD_FLAG', '--jitter is more than the delay', 'name a smaller one');
  const title = (lab: Lab) => `delaying packets of ${lab.named(names).join(', ')} by ${delayMs} ms each way`;
  return changing(options, title, async (lab) => {
    const hosts = lab.named(names);
    const others = lab.record.delays.filter(({ host }) => !hosts.includes(host));
    const made = hosts.map((host) => ({ host, delayMs, jitterMs, lossPercent }));
    const wanted = delayMs > 0 || lossPercent > 0 ? made : [];
    await applyDelays(lab.save({ delays: [...others, ...wanted] }));
  });
}

/** `lab kill HOST`: as by a power cut. */
export function kill(names: string, options: Options): Promise<void> {
  const title = (lab: Lab) => `cutting the power of ${lab.named(names).join(', ')}`;
  return changing(options, title, async (lab) => {
    for (const name of lab.named(names)) await killHost(lab, lab.host(name));
  });
}

/** `lab start HOST`: one that was killed, from its disk. */
export function start(names: string, options: Options): Promise<void> {
  const title = (lab: Lab) => `starting ${lab.named(names).join(', ')}`;
  return changing(options, title, async (lab) => {
    await layUnderlay(lab);
    await Promise.all(lab.named(names).map((name) => startHost(lab, lab.host(name))));
  });
}
