/** Adds counts by reason. */
export const sum = (counts: Record<string, number>): number =>
  Object.values(counts).reduce((all, each) => all + each, 0);
