import { describe, expect, it } from "vitest";
import { brief, excerpt, placeOf } from "./place";

// Messages as the server wrote them for these queries.
const TWO_LINES = "select a\nfrm events";
const PARSER =
  'query is not valid: SQL error: ParserError("Expected: end of statement, found: events at Line: 2, Column: 5")';
const FIELD =
  "query is not valid: Schema error: No field named can. Did you mean 'events.lane'?\nValid fields are events.tenant, events.can_id.";
const END = 'query is not valid: SQL error: ParserError("Expected: an expression, found: EOF")';

describe("the place of a fault", () => {
  it("is the line and column that the parser names", () => {
    expect(placeOf(PARSER, TWO_LINES)).toEqual({ line: 2, column: 5, offset: 13, length: 6 });
    expect(TWO_LINES.slice(13, 19)).toBe("events");
  });
  it("counts characters, not the halves of a pair", () => {
    const query = "select '\u{1f697}' frm x";
    expect(placeOf("found: frm at Line: 1, Column: 12", query)?.offset).toBe(query.indexOf("frm"));
  });
  it("is the unknown name, as a whole word", () => {
    const query = "select can_id\nfrom events where event_type = can";
    expect(placeOf(FIELD, query)).toEqual({ line: 2, column: 32, offset: 45, length: 3 });
    expect(
      placeOf("Error during planning: table 'datafusion.public.evnts' not found", "select 1 from evnts"),
    ).toEqual({ line: 1, column: 15, offset: 14, length: 5 });
    expect(placeOf("Invalid function 'cnt'.", "select cnt(*) from events")?.column).toBe(8);
  });
  it("is the end where the query ends too soon", () => {
    expect(placeOf(END, "select 1\norder by  ")).toEqual({ line: 2, column: 9, offset: 17, length: 1 });
  });
  it("is unknown where the message names none, or one that is not there", () => {
    expect(placeOf("the query took longer than 15 s", TWO_LINES)).toBeUndefined();
    expect(placeOf("at Line: 9, Column: 1", TWO_LINES)).toBeUndefined();
    expect(placeOf("No field named other.", TWO_LINES)).toBeUndefined();
  });
});

describe("the excerpt", () => {
  it("keeps the fault in sight in a long line", () => {
    const query = `${"x".repeat(300)} frm ${"y".repeat(300)}`;
    const place = placeOf("found: frm at Line: 1, Column: 302", query);
    const shown = place && excerpt(query, place);
    expect(shown?.text.slice(shown.indent, shown.indent + 3)).toBe("frm");
    expect(shown?.text.length).toBeLessThanOrEqual(96);
  });
});

describe("the message", () => {
  it("loses its wrapping and the list of all columns", () => {
    expect(brief(PARSER)).toBe("Expected: end of statement, found: events at Line: 2, Column: 5");
    expect(brief(FIELD)).toBe("Schema error: No field named can. Did you mean 'events.lane'?");
    expect(brief("the query took longer than 15 s")).toBe("the query took longer than 15 s");
  });
});
