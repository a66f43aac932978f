// Catalogue and SQL of the stand-in. It understands no SQL: words in the query choose what is answered.
import { readdirSync, readFileSync } from "node:fs";
import { Refusal } from "./mock-base.mjs";
import { makeEvents, NOW_MS, random, stamp } from "./mock-data.mjs";

const CATALOGUE = new URL("../../content/catalogue/", import.meta.url);

/** Reads the flat tables of the catalogue's files. */
function tables(kind) {
  return readdirSync(CATALOGUE)
    .flatMap((name) => readFileSync(new URL(name, CATALOGUE), "utf8").split(/^(?=\[\[)/m))
    .filter((part) => part.startsWith(`[[${kind}]]`))
    .map((part) =>
      Object.fromEntries(
        Array.from(part.matchAll(/^(\w+) = (.*)$/gm), ([, key, value]) => [key, JSON.parse(value)]),
      ),
    );
}

const catalogue = {
  event_types: tables("event").map(({ id, name, title, severity, lane, fields, unr155 = [] }) => ({
    id,
    name,
    title,
    severity,
    lane,
    fields,
    unr155,
  })),
  fields: tables("field").map(({ name, type, title, unit }) => ({
    name,
    type,
    title,
    ...(unit ? { unit } : {}),
  })),
};

const wrong = (message) => {
  throw new Refusal(422, "query", `query is not valid: ${message}`);
};

/** Refuses as the server's parser and planner do. */
function judge(query) {
  if (query.includes("timeout")) throw new Refusal(504, "timeout", "the query took longer than 15 s");
  const typo = query.indexOf("frm");
  if (typo >= 0) {
    const before = query.slice(0, typo).split("\n");
    wrong(
      `SQL error: ParserError("Expected: end of statement, found: frm at Line: ${before.length}, Column: ${before.at(-1).length + 1}")`,
    );
  }
  if (query.includes("nosuch"))
    wrong(
      `Schema error: No field named nosuch.\nValid fields are ${catalogue.fields.map((field) => `events.${field.name}`).join(", ")}.`,
    );
}

/** Rows of everything the lake has a column for: wide and mostly empty. */
function wide(vehicles, count) {
  const names = ["vehicle_id", "event_type", "event_time", ...catalogue.fields.map((field) => field.name)];
  const next = random(9);
  return {
    columns: names.map((name, index) => ({
      name,
      type: index < 2 ? "text" : index === 2 ? "timestamp" : (catalogue.fields[index - 3].type ?? "text"),
    })),
    rows: Array.from({ length: count }, (_unused, index) =>
      names.map((name, column) =>
        column === 0
          ? vehicles[index % vehicles.length].summary.vehicle_id
          : column === 1
            ? "can.flood"
            : column === 2
              ? stamp(NOW_MS - index * 1_000)
              : next() < 0.8
                ? null
                : Math.floor(next() * 1e6),
      ),
    ),
  };
}

function grouped(vehicles, count) {
  const columns = [
    { name: "vehicle_id", type: "text" },
    { name: "event_type", type: "text" },
    { name: "observations", type: "int" },
    { name: "first_seen", type: "timestamp" },
    { name: "process_name", type: "text" },
  ];
  const rows = Array.from({ length: count }, (_unused, index) => {
    const vehicle = vehicles[index % vehicles.length].summary.vehicle_id;
    const [event] = makeEvents(vehicle, undefined, 1, NOW_MS - index * 7_000, index);
    return [
      vehicle,
      event.event_type,
      90_000 - index * 3,
      event.event_time,
      index % 3 === 0
        ? null
        : index % 3 === 1
          ? "=cmd|' /C calc'!A0"
          : `${"very ".repeat(20)}long name, "${index}"`,
    ];
  });
  return { columns, rows };
}

export const HUNT_ROUTES = [
  ["GET /catalogue", () => catalogue],
  [
    "POST /sql",
    async (state, _parts, _query, { query, limit = 1_000 }) => {
      state.asked.push({ query, limit });
      judge(query);
      if (query.includes("slow")) await new Promise((done) => setTimeout(done, 2_000));
      if (query.includes("nothing"))
        return { ...grouped(state.vehicles, 0), truncated: false, elapsed_ms: 3 };
      const there = query.includes("*") ? 10_000 : 2_500;
      const rows = Math.min(limit, there);
      const made = query.includes("*") ? wide(state.vehicles, rows) : grouped(state.vehicles, rows);
      return { ...made, truncated: limit < there, elapsed_ms: 41 };
    },
  ],
];
