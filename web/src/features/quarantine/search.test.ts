import { describe, expect, it } from "vitest";
import { isIn, openIn, readQuarantineSearch } from "./search";

const groups = [
  { reason: "map.time", feed: "backend", format: "cef", open: 4 },
  { reason: "map.time", feed: "relay", format: "cef", open: 2 },
  { reason: "row.length", feed: null, format: null, open: 7 },
];

describe("what part of the quarantine is looked at", () => {
  it("reads an address, and ignores what it does not know", () => {
    expect(readQuarantineSearch({ reason: "map.time", feed: "", format: 3, all: "yes", more: 1 })).toEqual({
      reason: "map.time",
    });
    expect(readQuarantineSearch({ all: true })).toEqual({ all: true });
  });

  it("counts the open entries of every group that fits", () => {
    expect(openIn(groups, {})).toBe(13);
    expect(openIn(groups, { reason: "map.time" })).toBe(6);
    expect(openIn(groups, { reason: "map.time", feed: "relay" })).toBe(2);
    expect(openIn(groups, { feed: "nobody" })).toBe(0);
  });

  it("takes a group without a feed for no feed's", () => {
    expect(groups.map((group) => isIn(group, { feed: "relay" }))).toEqual([false, true, false]);
    expect(groups.map((group) => isIn(group, { reason: "row.length" }))).toEqual([false, false, true]);
  });
});
