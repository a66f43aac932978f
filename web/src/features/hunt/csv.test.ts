import { describe, expect, it } from "vitest";
import { toCsv } from "./csv";

const one = (...row: (string | number | boolean | null)[]) =>
  toCsv({ columns: row.map((_value, index) => ({ name: `c${index}`, type: "text" })), rows: [row] }).split(
    "\r\n",
  )[1];

describe("the CSV file", () => {
  it("has a heading, a line a row, and ends with a line end", () => {
    const columns = [
      { name: "event_type", type: "text" },
      { name: "n", type: "int" },
    ];
    expect(toCsv({ columns, rows: [["can.flood", 3]] })).toBe("event_type,n\r\ncan.flood,3\r\n");
    expect(toCsv({ columns, rows: [] })).toBe("event_type,n\r\n");
  });
  it("quotes what would break a line or a cell", () => {
    expect(one('say "x", then', "plain")).toBe('"say ""x"", then",plain');
    expect(toCsv({ columns: [{ name: "a", type: "text" }], rows: [["two\nlines"]] })).toBe(
      'a\r\n"two\nlines"\r\n',
    );
  });
  it("disarms texts that a spreadsheet would run, and leaves numbers alone", () => {
    expect(one("=HYPERLINK(1)", "+1", "@x", "-x")).toBe("'=HYPERLINK(1),'+1,'@x,'-x");
    expect(one(-5, 1.5, true)).toBe("-5,1.5,true");
  });
  it("tells nothing apart from an empty text, as CSV cannot", () => {
    expect(one(null, "", 0, false)).toBe(",,0,false");
  });
});
