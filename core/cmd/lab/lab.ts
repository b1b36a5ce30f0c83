import { PintleError } from '#base';
import type { UnderlayKind } from '../../../net/underlay/plan.ts';

export interface LabOptions {
  readonly home?: string;
  readonly yes?: boolean;
  readonly hosts?: number;
  readonly underlay?: UnderlayKind;
  readonly port?: number;
  readonly oneWay?: boolean;
  readonly jitter?: string;
  readonly loss?: number;
  readonly json?: boolean;
}
export const labVerbs = ['up', 'down', 'status', 'exec', 'partition', 'heal', 'delay', 'kill', 'start'] as const;

/** `lab VERB …`: several real hosts on one machine. */
export async function lab(verb: string, words: readonly string[], options: LabOptions): Promise<void> {
  const [first, second] = words;
  const change = () => import('./change.ts');
  switch (verb) {
    case 'up':
      return (await import('./up.ts')).labUp({ ...options, serverFlags: words });
    case 'down':
      return (await import('./down.ts')).labDown(options);
    case 'status':
      return (await import('./status.ts')).labStatus(options);
    case 'exec':
      return (await import('./exec.ts')).labExec(need(first, 'exec HOST -- COMMAND'), words.slice(1), options);
    case 'partition':
      return (await change()).partition(need(first, 'partition HOSTS [HOSTS]'), second, options);
    case 'heal':
      return (await change()).heal(first, options);
    case 'delay':
      return (await change()).delay(need(first, 'delay HOSTS TIME'), need(second, 'delay HOSTS TIME'), options);
    case 'kill':
      return (await change()).kill(need(first, 'kill HOSTS'), options);
    case 'start':
      return (await change()).start(need(first, 'start HOSTS'), options);
    default:
      throw new PintleError('UNKNOWN_VERB', `there is no lab ${verb}`, `use lab ${labVerbs.join(', ')}`);
  }
}

function need(word: string | undefined, usage: string): string {
  if (word) return word;
  throw new PintleError('BAD_ARGUMENTS', `lab ${usage.split(' ')[0]} needs more words`, `./pintle lab ${usage}`);
}
