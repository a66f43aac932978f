import { describe, expect, it } from "vitest";
import { caretCell, CHOICES_MAX, completeAt, type Vocabulary } from "./complete";

const vocabulary: Vocabulary = {
  columns: [
    { name: "vehicle_id", type: "text", title: "Vehicle" },
    { name: "event_type", type: "text", title: "Event type" },
    { name: "event_time", type: "timestamp", title: "Time" },
    { name: "release", type: "text", title: "Release" },
    { name: "can_id", type: "int", title: "CAN id" },
  ],
  values: new Map([
    ["event_type", [{ name: "can.flood", title: "Flood" }, { name: "diag.scan", title: "Scan" }]],
    ["lane", [{ name: "critical", title: "Critical" }]],
  ]),
};

/** `|` marks the caret. */
function complete(text: string, asked = false) {
  const caret = text.indexOf("|");
  return completeAt(text.replace("|", ""), caret, vocabulary, asked);
}
const texts = (text: string, asked = false) => complete(text, asked)?.choices.map((choice) => choice.text);

describe("completion", () => {
  it("puts names that begin with what was typed before those that contain it", () => {
    expect(texts("SELECT ev|")).toEqual(["event_type", "event_time", "events"]);
    expect(texts("SELECT id|")?.slice(0, 2)).toEqual(["vehicle_id", "can_id"]);
    expect(texts("select cou|")).toEqual(["count("]);
    expect(texts("SELECT a GROU|")).toEqual(["GROUP BY"]);
  });
  it("waits for two characters, unless it is asked", () => {
    expect(complete("SELECT e|")).toBeUndefined();
    expect(complete("SELECT |")).toBeUndefined();
    expect(texts("SELECT e|", true)?.[0]).toBe("event_type");
    expect(texts("SELECT |", true)?.length).toBe(CHOICES_MAX);
  });
  it("says nothing where the word is complete", () => {
    expect(complete("SELECT can_id|")).toBeUndefined();
    expect(texts("SELECT can_id|", true)).toEqual(["can_id"]);
  });
  it("replaces the word before the caret only", () => {
    expect(complete("SELECT ev|, can_id")).toMatchObject({ from: 7, to: 9 });
  });
  it("quotes a column that SQL has as a word, and knows names between quotes", () => {
    expect(texts("SELECT rele|")).toEqual(['"release"']);
    expect(complete('SELECT "rele|')).toMatchObject({ from: 8, choices: [{ text: "release" }] });
  });
  it("offers columns only after an alias", () => {
    expect(texts("SELECT a.|", true)).toEqual(["vehicle_id", "event_type", "event_time", '"release"', "can_id"]);
  });
  it("offers the values of the column before a text", () => {
    expect(texts("WHERE event_type = '|")).toEqual(["can.flood", "diag.scan"]);
    expect(texts("WHERE event_type IN ('can.flood', 'di|'")).toEqual(["diag.scan"]);
    expect(texts("WHERE a.\"event_type\" NOT LIKE 'ca|%'")).toEqual(["can.flood"]);
    expect(texts("WHERE lane <> 'c|")).toEqual(["critical"]);
    expect(complete("WHERE event_type = 'ca|n.fl' AND x")).toMatchObject({ from: 20, to: 26 });
    expect(complete("WHERE ecu = '|", true)).toBeUndefined();
  });
  it("is silent in comments, in numbers and after a closed text", () => {
    expect(complete("-- event_ty|", true)).toBeUndefined();
    expect(complete("/* event_ty| */", true)).toBeUndefined();
    expect(complete("SELECT 10|", true)).toBeUndefined();
    expect(texts("WHERE event_type = 'it''s' AN|")).toEqual(["AND"]);
    expect(complete("WHERE event_type = 'it''s|", true)).toBeUndefined();
  });
  it("ends for any text and any caret", () => {
    for (const text of ["'", '"', "/*", "--", "''''", "'\"'--/*", "[(\\", "a.[", "😀'", "\u0000"])
      for (let caret = 0; caret <= text.length; caret += 1)
        expect(() => completeAt(text, caret, vocabulary, true)).not.toThrow();
  });
  it("finds the caret's cell through tabs and lines", () => {
    expect(caretCell("ab\n\tc", 5)).toEqual({ line: 1, column: 3 });
    expect(caretCell("", 0)).toEqual({ line: 0, column: 0 });
  });
});
