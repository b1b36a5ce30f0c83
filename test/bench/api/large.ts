import { Scope } from '#base';
import { largeWrites } from '../../fixtures/large-map.ts';
import { median, type Row, ratioRow, valueRow } from '../parts/row.ts';

/**
 * What writes of a ConfigMap with 60,000 keys cost everybody else: the longest that the loop was taken, in processor time,
 * beside the one JSON.parse of its text that nobody can spare.
 */
export async function* large(smoke: boolean): AsyncIterable<Row> {
  await using scope = new Scope();
  const write = await largeWrites(scope, smoke ? 5_000 : 60_000);
  const rounds: Readonly<Record<string, number>>[] = [];
  for (let round = 0; round < (smoke ? 2 : 5); round++) rounds.push((await write(`m${round}`)).ms);
  for (const what of ['create', 'update', 'update-all', 'patch']) {
    const found = rounds.map((ms) => ms[what]!);
    yield valueRow(`api.large.${what}.longest-turn`, median(found), 'ms', '<= 50');
    yield ratioRow(
      `api.large.${what}.longest-turn-beside-parse`,
      'ms',
      rounds.map((ms) => [ms[what]!, ms['parse']!]),
    );
  }
}
