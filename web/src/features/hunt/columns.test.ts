import { describe, expect, it } from "vitest";
import { allColumns, widths } from "./columns";

describe("the columns of an answer", () => {
  it("are as wide as their heading or their longest value, within bounds", () => {
    const columns = ["a", "heading", "long"].map((name) => ({ name, type: "text" }));
    const rows = [
      [1, "x", "y".repeat(200)],
      [123_456, null, ""],
    ];
    expect(widths({ columns, rows })).toEqual([6, 7, 44]);
    expect(widths({ columns, rows: [] })).toEqual([5, 7, 5]);
    expect(widths({ columns: [], rows: [[], []] })).toEqual([]);
  });
});

describe("the columns one may ask for", () => {
  it("are those of every event, then the catalogue's with their units", () => {
    const fields = [{ name: "gap_us", type: "int", title: "gap", unit: "µs" }];
    const names = allColumns({ event_types: [], fields });
    expect(names[0]?.name).toBe("vehicle_id");
    expect(names.at(-1)).toEqual({ name: "gap_us", type: "int, µs", title: "gap" });
    expect(new Set(names.map((each) => each.name)).size).toBe(names.length);
    expect(allColumns(undefined)).toHaveLength(names.length - 1);
  });
});
