import { describe, expect, it } from "vitest";
import type { Alert } from "../../api/types";
import { matches, nextSort, readSearch, statusMatches, toggleWord, toQuery } from "./query";
import { count, everything, has, NOTHING, only, range, set, toggle, toRequest } from "./selection";

const all = everything({ status: "new", sort: "-last_at" }, 100_000, "2026-01-01T00:00:00Z");

describe("a selection of ids", () => {
  it("starts empty and toggles", () => {
    const one = toggle(NOTHING, "a");
    expect([count(NOTHING), count(one), has(one, "a"), has(one, "b")]).toEqual([0, 1, true, false]);
    expect(count(toggle(one, "a"))).toBe(0);
  });

  it("never changes the selection it came from", () => {
    const one = only("a");
    set(one, ["b", "c"], true);
    expect(count(one)).toBe(1);
  });

  it("asks for ids and nothing else", () => {
    expect(toRequest(only("a", "b"))).toEqual({ ids: ["a", "b"] });
  });
});

describe("a selection by query", () => {
  it("holds rows that were never loaded", () => {
    expect(has(all, "never-seen")).toBe(true);
    expect(count(all)).toBe(100_000);
  });

  it("keeps exceptions, so that a row deselected after select-all is not acted on", () => {
    const but = toggle(toggle(all, "a"), "b");
    expect([has(but, "a"), has(but, "c"), count(but)]).toEqual([false, true, 99_998]);
    expect(toRequest(but)).toEqual({
      query: { status: "new", sort: undefined },
      except: ["a", "b"],
      as_of: "2026-01-01T00:00:00Z",
    });
    expect(has(toggle(but, "a"), "a")).toBe(true);
  });

  it("takes a range out and in", () => {
    const out = set(all, ["a", "b", "c"], false);
    expect(count(out)).toBe(99_997);
    expect(count(set(out, ["b"], true))).toBe(99_998);
  });
});

describe("ranges", () => {
  const rows = ["a", "b", "c", "d", "e"];
  it("go both ways and include both ends", () => {
    expect(range(rows, "b", "d")).toEqual(["b", "c", "d"]);
    expect(range(rows, "d", "b")).toEqual(["b", "c", "d"]);
    expect(range(rows, "c", "c")).toEqual(["c"]);
  });
  it("without a known anchor mean one row", () => {
    expect(range(rows, undefined, "d")).toEqual(["d"]);
    expect(range(rows, "gone", "d")).toEqual(["d"]);
    expect(range(rows, "a", "gone")).toEqual([]);
  });
});

describe("the queue's address", () => {
  it("drops what it does not know and reads numbers as text", () => {
    expect(readSearch({ q: 123, sel: "x", evil: "1", status: "", rule: { a: 1 }, from: null })).toEqual({
      q: "123",
      sel: "x",
    });
  });
  it("means open alerts, newest first, unless it says otherwise", () => {
    expect(toQuery({ sel: "x" })).toEqual({ status: "new,acknowledged", sort: "-last_at" });
    expect(toQuery({ status: "closed", sort: "severity" })).toEqual({ status: "closed", sort: "severity" });
  });
  it("toggles words in a fixed order, and none or all means no filter", () => {
    const order = ["critical", "high", "low"];
    expect(toggleWord(undefined, "high", order)).toBe("high");
    expect(toggleWord("high", "critical", order)).toBe("critical,high");
    expect(toggleWord("high", "high", order)).toBeUndefined();
    expect(toggleWord("critical,high", "low", order)).toBeUndefined();
  });
  it("sorts descending first", () => {
    expect([
      nextSort(undefined, "severity"),
      nextSort("-severity", "severity"),
      nextSort("severity", "severity"),
      nextSort(undefined, "last_at"),
    ]).toEqual(["-severity", "severity", "-severity", "last_at"]);
  });
  it("knows which rows leave a list", () => {
    expect(statusMatches({ status: "new" }, "acknowledged")).toBe(false);
    expect(statusMatches({ status: "new,acknowledged" }, "acknowledged")).toBe(true);
    expect(statusMatches({}, "closed")).toBe(true);
  });
  it("counts only those new alerts that it would show", () => {
    const alert = { status: "new", severity: "high", rule_id: "r", model_line: "Aria" } as Alert;
    expect(matches({ status: "new" }, alert)).toBe(true);
    expect(matches({ status: "closed" }, alert)).toBe(false);
    expect(matches({ severity: "critical,low" }, alert)).toBe(false);
    expect(matches({ severity: "critical,high", rule: "r" }, alert)).toBe(true);
    expect(matches({ rule: "other" }, alert)).toBe(false);
    expect(matches({ model_line: "Borea" }, alert)).toBe(false);
  });
});
