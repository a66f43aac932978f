import { describe, expect, it } from "vitest";
import { drop, HISTORY_MAX, keep, readNotes, remember, SAVED_MAX, type Notes } from "./store";

const NONE: Notes = { history: [], saved: [] };
const AT = "2026-02-03T04:05:06.000Z";
const ran = (...queries: string[]): Notes =>
  queries.reduce((notes, query) => remember(notes, query, AT), NONE);

describe("the history", () => {
  it("has the newest first, each query once", () => {
    expect(ran("a", "b", "a").history.map((each) => each.query)).toEqual(["a", "b"]);
  });
  it("forgets the oldest beyond twenty", () => {
    const many = Array.from({ length: HISTORY_MAX + 3 }, (_unused, index) => `q${index}`);
    const { history } = ran(...many);
    expect([history.length, history[0]?.query, history.at(-1)?.query]).toEqual([HISTORY_MAX, "q22", "q3"]);
  });
});

describe("saved queries", () => {
  it("stand by name, and a name stands for one query", () => {
    const notes = keep(keep(keep(NONE, "b", "1"), "a", "2"), "b", "3");
    expect(notes.saved).toEqual([
      { name: "a", query: "2" },
      { name: "b", query: "3" },
    ]);
    expect(drop(notes, "a").saved).toEqual([{ name: "b", query: "3" }]);
  });
  it("leave the history alone", () => {
    expect(keep(ran("a"), "n", "q").history).toHaveLength(1);
  });
});

describe("what the browser gives back", () => {
  it("is what was stored", () => {
    const notes = keep(ran("a", "b"), "n", "q");
    expect(readNotes(JSON.stringify(notes))).toEqual(notes);
  });
  it.each([null, "", "null", "[]", "{", "7", '{"history":7,"saved":{}}', '{"history":[null,{"query":1}]}'])(
    "%s is nothing",
    (text) => expect(readNotes(text)).toEqual(NONE),
  );
  it("is bounded, whoever wrote it", () => {
    const saved = Array.from({ length: 500 }, (_unused, index) => ({ name: `n${index}`, query: "q" }));
    expect(readNotes(JSON.stringify({ saved })).saved).toHaveLength(SAVED_MAX);
  });
});
