import { expect, test } from "vitest";
import { spread } from "./share";

test("a bar is full, in order, and without what is not there", () => {
  const bar = spread([
    { part: "received", count: 75 },
    { part: "tombstoned", count: 0 },
    { part: "open", count: 25 },
  ]);
  expect(bar.map(({ part, start, width }) => [part, start, width])).toEqual([
    ["received", 0, 0.75],
    ["open", 0.75, 0.25],
  ]);
});

test("one number among a million is seen", () => {
  const bar = spread([
    { part: "received", count: 1_000_000 },
    { part: "overdue", count: 1 },
  ]);
  expect(bar[1]?.width).toBeGreaterThan(0.008);
  expect(bar.reduce((sum, { width }) => sum + width, 0)).toBeCloseTo(1);
});

test("nothing is no bar", () => {
  expect(spread([])).toEqual([]);
  expect(spread([{ part: "open", count: 0 }])).toEqual([]);
});
