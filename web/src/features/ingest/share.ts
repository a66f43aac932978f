/** What became of numbers or accounts, in the order of the bar. */
export type Share = { part: Part; count: number };
export const PARTS = [
  "received",
  "tombstoned",
  "open",
  "overdue",
  "balanced",
  "inexact",
  "waiting",
  "mismatched",
] as const;
export type Part = (typeof PARTS)[number];

/** A share that is there is seen: it gets at least this much of a bar. */
const LEAST = 1 / 120;

/** Returns where each share begins and how wide it is, in a bar of width 1; what is not there is left out. */
export function spread(shares: readonly Share[]): (Share & { start: number; width: number })[] {
  const there = shares.filter((share) => share.count > 0);
  const total = there.reduce((sum, share) => sum + share.count, 0);
  if (total === 0) return [];
  const widths = there.map((share) => Math.max(share.count / total, LEAST));
  const sum = widths.reduce((all, width) => all + width, 0);
  let start = 0;
  return there.map((share, index) => {
    const width = (widths[index] ?? 0) / sum;
    const placed = { ...share, start, width };
    start += width;
    return placed;
  });
}
