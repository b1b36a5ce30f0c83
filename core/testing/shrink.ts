import type { Fault, Scenario, Step } from './scenario.ts';

/** Makes a failing scenario small: leaves out faults, then steps, as long as it still fails. `runsMax` bounds the work. */
export async function shrinkScenario(
  scenario: Scenario,
  fails: (candidate: Scenario) => Promise<boolean>,
  runsMax = 150,
): Promise<Scenario> {
  let runs = 0;
  const tryOut = async (candidate: Scenario) => runs++ < runsMax && (await fails(candidate));
  let best = scenario;
  for (let before = -1; before !== sizeOf(best) && runs < runsMax; ) {
    before = sizeOf(best);
    const faults = await fewer<Fault>(best.faults, (faults) => tryOut({ ...best, faults }));
    best = { ...best, faults };
    const steps = await fewer<Step>(best.steps, (steps) => tryOut({ ...best, steps }));
    best = { ...best, steps };
    if (best.events && (await tryOut({ ...best, events: false }))) best = { ...best, events: false };
    for (let nodes = 1; nodes < best.nodes; nodes++)
      if (await tryOut({ ...best, nodes, faults: best.faults.filter((fault) => isOn(fault, nodes)) })) {
        best = { ...best, nodes, faults: best.faults.filter((fault) => isOn(fault, nodes)) };
        break;
      }
  }
  return best;
}
const sizeOf = ({ faults, steps, nodes }: Scenario): number => (faults.length + steps.length) * 10 + nodes;

/** Whether the fault falls on something that exists with so many nodes. */
function isOn(fault: Fault, nodes: number): boolean {
  const name = 'node' in fault ? fault.node : 'target' in fault ? fault.target : '';
  return !name.startsWith('node-') || Number(name.slice(5)) <= nodes;
}

/** Leaves out halves, then quarters, down to single ones. */
async function fewer<T>(
  items: readonly T[],
  stillFails: (items: readonly T[]) => Promise<boolean>,
): Promise<readonly T[]> {
  let kept = items;
  for (let size = Math.ceil(kept.length / 2); size >= 1; size = Math.floor(size / 2))
    for (let from = 0; from < kept.length; ) {
      const candidate = [...kept.slice(0, from), ...kept.slice(from + size)];
      if (await stillFails(candidate)) kept = candidate;
      else from += size;
    }
  return kept;
}
