import { describe, expect, it } from "vitest";
import { BINS_MAX, firstTime, histogram, TEXTS_MAX } from "./histogram";

type Cell = string | number | boolean | null;
const of = (type: string, values: readonly Cell[]) =>
  histogram({ columns: [{ name: "a", type }], rows: values.map((value) => [value]) } as never, 0);
const sizes = (found: ReturnType<typeof of>) => found.bins.map((bin) => bin.rows.length);

describe("histogram", () => {
  it("puts every row into exactly one bin, or counts it as empty", () => {
    const spread: [string, (index: number) => Cell][] = [
      ["int", (index) => (index * 7919) % 1_000],
      ["float", (index) => Math.sin(index) * 1e-6],
      ["float", (index) => (index % 2 ? 1e300 : -1e300)],
      ["int", (index) => (index % 3 ? Number.MAX_SAFE_INTEGER - index : 0)],
      ["timestamp", (index) => new Date(index * 86_400_000 * 40).toISOString()],
      ["text", (index) => `v${index % 40}`],
      ["timestamp", (index) => (index % 2 ? "never" : null)],
    ];
    for (const [type, make] of spread) {
      const found = of(type, Array.from({ length: 500 }, (_unused, index) => make(index)));
      const rows = found.bins.flatMap((bin) => bin.rows);
      expect(new Set(rows).size).toBe(rows.length);
      expect(rows.length + found.empty).toBe(500);
      expect(found.bins.length).toBeLessThanOrEqual(BINS_MAX);
    }
  });
  it("counts times in steps that people count in, without gaps", () => {
    const found = of("timestamp", ["2026-11-22T10:00:00Z", "2026-11-22T10:02:59.999999Z", null]);
    expect(found).toMatchObject({ kind: "time", empty: 1 });
    expect(found.bins.length).toBe(36);
    expect(sizes(found).filter((size) => size > 0)).toEqual([1, 1]);
    expect(found.bins[0]?.from).toBe(Date.parse("2026-11-22T10:00:00Z"));
  });
  it("keeps bins of whole numbers whole, and borders in the upper bin", () => {
    expect(of("int", [0, 1, 1, 3]).bins.map(({ from, rows }) => [from, rows.length])).toEqual([
      [0, 1],
      [1, 2],
      [2, 0],
      [3, 1],
    ]);
    expect(sizes(of("int", [5, 5, 5]))).toEqual([3]);
    const wide = of("int", [0, 999]);
    expect(wide.bins[0]).toMatchObject({ from: 0, to: 50, rows: [0] });
    expect(wide.bins.at(-1)).toMatchObject({ from: 950, to: 1_000, rows: [1] });
  });
  it("lists the most frequent texts and puts the others together", () => {
    const values = Array.from({ length: 60 }, (_unused, index) => (index < 20 ? "often" : `once ${index}`));
    const found = of("text", values);
    expect(found.bins[0]).toMatchObject({ from: "often" });
    expect(found.bins.length).toBe(TEXTS_MAX + 1);
    expect(found.bins.at(-1)).toMatchObject({ rest: true, from: 41 - TEXTS_MAX });
    expect(sizes(found).reduce((all, size) => all + size, 0)).toBe(60);
  });
  it("has no bin without a value", () => {
    expect(of("int", [null, null])).toEqual({ kind: "number", bins: [], empty: 2 });
    expect(of("text", [])).toEqual({ kind: "text", bins: [], empty: 0 });
  });
  it("begins with the first time", () => {
    const columns = [{ name: "a", type: "text" }, { name: "b", type: "timestamp" }];
    expect(firstTime({ columns } as never)).toBe(1);
    expect(firstTime({ columns: columns.slice(0, 1) } as never)).toBe(-1);
  });
});
