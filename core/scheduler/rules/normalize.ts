/** Scores of any size to 0 to 100 by their largest; `reverse` turns a count of faults into a score. In place. */
export function byLargest(scores: number[], reverse = false): void {
  const most = Math.max(0, ...scores);
  for (const [index, score] of scores.entries()) {
    const share = most === 0 ? 0 : Math.trunc((100 * score) / most);
    scores[index] = reverse ? 100 - share : share;
  }
}
