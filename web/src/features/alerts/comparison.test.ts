import { describe, expect, it } from "vitest";
import type { CatalogueField } from "../../api/types";
import { comparisons, distance, placed, verdict, type Range } from "./comparison";

type Given = Record<string, string | number | boolean>;
const of = (given: Given, catalogue?: CatalogueField[]) =>
  comparisons(Object.fromEntries(Object.entries(given).map(([name, value]) => [name, { value }])), catalogue);
const range = (observed: number, low?: number, high?: number): Range => ({
  name: "x",
  kind: "range",
  observed,
  ...(low === undefined ? {} : { low }),
  ...(high === undefined ? {} : { high }),
});

describe("what is compared", () => {
  it.each<[string, Given, object]>([
    ["a pair", { dlc_expected: 8, dlc_observed: 4 }, { name: "dlc", observed: 4, low: 8, high: 8 }],
    [
      "a plain field",
      { gap_us: 210, gap_expected_us: 10_000 },
      { name: "gap_us", observed: 210, low: 10_000, high: 10_000 },
    ],
    ["a limit", { rate_hz: 4_000, rate_limit_hz: 500 }, { name: "rate_hz", observed: 4_000, high: 500 }],
    ["a quota", { spool_bytes: 9, spool_quota_bytes: 8 }, { name: "spool_bytes", observed: 9, high: 8 }],
    ["a budget", { alarms: 3, alarms_budget: 10 }, { name: "alarms", observed: 3, high: 10 }],
    [
      "two ends",
      { signal_value: 9.5, signal_min: 0, signal_max: 8 },
      { name: "signal", observed: 9.5, low: 0, high: 8 },
    ],
    ["one end", { temperature: -50, temperature_min: -40 }, { name: "temperature", observed: -50, low: -40 }],
    [
      "either order",
      { expected_value: 3, observed_value: 250 },
      { name: "value", observed: 250, low: 3, high: 3 },
    ],
  ])("%s of numbers is a range", (_what, given, wanted) => {
    expect(of(given)).toEqual([{ kind: "range", ...wanted }]);
  });

  it("words, names and numbers that are names are compared as texts", () => {
    expect(of({ expected: "known identifiers", observed: "0x7df" })).toEqual([
      { kind: "text", name: "", expected: "known identifiers", observed: "0x7df" },
    ]);
    expect(of({ version: "2.1", version_expected: "2.0" })[0]).toMatchObject({
      expected: "2.0",
      observed: "2.1",
    });
    expect(of({ crc_expected: 17, crc_observed: 240 })[0]).toMatchObject({ kind: "text", expected: "17" });
    expect(of({ mac_address: 5, mac_address_expected: 6 })[0]?.kind).toBe("text");
    // Whole numbers beyond 2⁵³ come as text.
    expect(of({ x_min: "9007199254740993", x_observed: 1 })[0]).toMatchObject({
      kind: "text",
      expected: "9007199254740993 – …",
    });
  });

  it("what lacks a side is left out, whatever else there is", () => {
    expect(of({ can_id: 291, dlc_observed: 4, gap_us: 3, expected: "silence", signal_min: 1 })).toEqual([]);
    expect(of({})).toEqual([]);
    expect(of({ limit: 3, max_count: 2 })).toEqual([]);
  });

  it("several things are several comparisons, ranges first", () => {
    const all = of({
      observed: "b",
      expected: "a",
      counter_expected: 3,
      counter_observed: 9,
      crc_expected: 1,
      crc_observed: 2,
    });
    expect(all.map((each) => each.name)).toEqual(["counter", "", "crc"]);
  });

  it("title and unit come from the catalogue, the unit of the event before it", () => {
    const catalogue = [{ name: "gap_us", type: "int", title: "time between two frames", unit: "µs" }];
    expect(of({ gap_us: 1, gap_expected_us: 2 }, catalogue)[0]).toMatchObject({
      title: "time between two frames",
      unit: "µs",
    });
    const fields = { gap_us: { value: 1, unit: "ms" }, gap_expected_us: { value: 2 } };
    expect(comparisons(fields, catalogue)[0]?.unit).toBe("ms");
    expect(comparisons({ gap_us: { value: 1 }, gap_expected_us: { value: 2, unit: "s" } })[0]?.unit).toBe(
      "s",
    );
  });

  it("the subject is what the field of that name holds", () => {
    const [signal] = of({ signal_name: "BrakePressure", signal_value: 9, signal_max: 8 });
    expect(signal).toMatchObject({ name: "signal", subject: "BrakePressure", high: 8 });
  });

  it("a raw value is about its signal, or about its first bit and its width", () => {
    const raw = { expected_value: 3, observed_value: 250 };
    expect(of({ ...raw, field_bit: 12, field_bits: 8 })[0]?.subject).toBe("12:8");
    expect(of({ ...raw, field_bit: 12, field_bits: 8, signal_name: "Speed" })[0]?.subject).toBe("Speed");
    expect(of({ ...raw, field_bit: 12 })[0]).not.toHaveProperty("subject");
    expect(of({ dlc_expected: 8, dlc_observed: 3, field_bit: 1, field_bits: 2 })[0]).not.toHaveProperty(
      "subject",
    );
  });

  it("names that only objects have are no parts", () => {
    expect(of({ constructor_observed: 1, toString: 2 })).toEqual([]);
  });
});

describe("the verdict", () => {
  it.each([
    [range(7, 8, 8), "below", -1],
    [range(8, 8, 8), "inside", 0],
    [range(9, 8, 8), "above", 1],
    [range(9, undefined, 8), "above", 1],
    [range(-99, undefined, 8), "inside", 0],
    [range(9, 3), "inside", 0],
    [range(2, 3), "below", -1],
  ] as const)("of %o", (each, word, far) => {
    expect([verdict(each), distance(each)]).toEqual([word, far]);
  });
});

describe("the drawing", () => {
  it("keeps everything inside, in order", () => {
    for (const each of [
      range(210, 10_000, 10_000),
      range(4_000, undefined, 500),
      range(-3, -1, 5),
      range(1e9, 1e9 - 5, 1e9 - 1),
      range(0, 0, 0),
      range(-7, -7, -7),
      range(1e-9, 5e8, 6e8),
    ]) {
      const { observed, low, high } = placed(each);
      for (const at of [observed, low, high]) expect(at >= 0 && at <= 1).toBe(true);
      expect(low <= high).toBe(true);
      expect(Math.sign(observed - low)).toBe(
        each.low === undefined ? Math.sign(observed) : Math.sign(each.observed - each.low),
      );
    }
  });
  it("begins at nought where the values are near it, and not where they are far", () => {
    expect(placed(range(210, 10_000, 10_000)).from).toBe(0);
    expect(placed(range(5_200, 5_000, 5_010)).from).toBeGreaterThan(4_900);
  });
});
