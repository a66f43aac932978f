import { describe, expect, it } from "vitest";
import {
  formatAge,
  formatClock,
  formatError,
  formatMicros,
  formatShort,
  formatSpan,
  formatTime,
  fraction,
  zoneName,
} from "./time";

const AT = "2026-02-03T04:05:06.123456Z";

describe("times", () => {
  it("name their zone", () => {
    expect(formatTime(AT, "utc")).toBe("2026-02-03 04:05:06 UTC");
    // The tests run in a zone five and a half hours east, set in vite.config.ts.
    expect(formatTime(AT, "local")).toBe("2026-02-03 09:35:06 UTC+5:30");
    expect(zoneName("local", new Date(AT))).toBe("UTC+5:30");
    expect(formatShort(AT, "utc")).toBe("02-03 04:05:06");
    expect(formatClock(AT, "local")).toBe("09:35");
  });

  it("that are missing or unreadable are a dash, never the present", () => {
    for (const text of [undefined, null, "", "yesterday"]) expect(formatTime(text, "utc")).toBe("—");
    expect(formatAge("nonsense", 0)).toBe("—");
  });

  it("keep the microseconds the server sent", () => {
    expect(fraction(AT)).toBe(".123456");
    expect(fraction("2026-02-03T04:05:06Z")).toBe("");
  });
});

describe("spans", () => {
  it.each([
    [0, "0 ms"],
    [999, "999 ms"],
    [1_000, "1 s"],
    [59_999, "59 s"],
    [60_000, "1 min"],
    [61_000, "1 min 1 s"],
    [3_600_000, "1 h"],
    [5_400_000, "1 h 30 min"],
    [86_399_000, "23 h 59 min"],
    [86_400_000, "1 d"],
    [1_814_400_000 + 7_200_000, "21 d 2 h"],
    [-1_500, "−1 s"],
  ])("%d ms is %s", (ms, text) => {
    expect(formatSpan(ms)).toBe(text);
  });

  it("are never negative ages", () => {
    expect(formatAge("2026-01-01T00:00:05Z", Date.parse("2026-01-01T00:00:00Z"))).toBe("0 ms");
  });

  it("of a clock's error keep small ones apart", () => {
    expect([formatError(0), formatError(999), formatError(1_500), formatError(2_000_000)]).toEqual([
      "± 0 µs",
      "± 999 µs",
      "± 1.5 ms",
      "± 2 s",
    ]);
    expect([formatMicros(-320), formatMicros(999), formatMicros(-4_000_000)]).toEqual([
      "−320 µs",
      "999 µs",
      "−4 s",
    ]);
  });
});
