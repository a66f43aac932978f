// Feeds and the quarantine in the stand-in, with the rules of the server.
import { Refusal } from "./mock-base.mjs";
import { NOW_MS, stamp } from "./mock-data.mjs";

const MINUTE = 60_000;
const IDS_MAX = 500;

/** What begins every run: entries of three reasons, one of them of vehicles' own batches. */
export const makeQuarantine = (vehicles) =>
  Array.from({ length: 340 }, (_unused, index) => {
    const foreign = index % 3 !== 2;
    return {
      id: String(9_000 - index),
      at: stamp(NOW_MS - index * 61_000),
      reason: ["feed.vehicle_unknown", "map.time", "row.equivocation"][index % 3],
      place: foreign ? `document ${index + 1}` : `row ${index} byte ${index * 13}`,
      bytes: 90 + index * 11,
      excerpt_hex: foreign ? "" : "0a1f" + "5c".repeat(14),
      units: foreign ? 1 : 12,
      ...(foreign
        ? { feed: index % 2 ? "backend" : "relay", format: index % 2 ? "outrider.json" : "arcsight.cef" }
        : { vehicle_id: vehicles[index % vehicles.length].summary.vehicle_id }),
      ...(index === 0 ? { requested_at: stamp(NOW_MS - MINUTE) } : {}),
      ...(index === 1
        ? { requested_at: stamp(NOW_MS - MINUTE), replayed_at: stamp(NOW_MS), passed: 0, refused: 1 }
        : {}),
    };
  });

const all = (state) => (state.empty ? [] : state.quarantine);
const isOpen = (entry) => !entry.requested_at;
const fits =
  ({ reason, feed, format }) =>
  (entry) =>
    (!reason || entry.reason === reason) &&
    (!feed || entry.feed === feed) &&
    (!format || entry.format === format);

function summary(state) {
  const groups = new Map();
  for (const entry of all(state)) {
    const { reason, feed, format, at } = entry;
    const key = [reason, feed, format].join(" ");
    const group = groups.get(key) ?? {
      reason,
      feed,
      format,
      entries: 0,
      open: 0,
      units: 0,
      bytes: 0,
      last_at: at,
    };
    group.entries += 1;
    group.open += isOpen(entry) ? 1 : 0;
    group.units += entry.units;
    group.bytes += entry.bytes;
    group.first_at = at;
    groups.set(key, group);
  }
  return {
    groups: [...groups.values()].sort((a, b) => b.open - a.open),
    entries: all(state).length,
    bytes: all(state).reduce((sum, each) => sum + each.bytes, 0),
    entries_max: 100_000,
    bytes_max: 268_435_456,
    as_of: stamp(NOW_MS),
  };
}

function list(state, query) {
  const found = all(state)
    .filter(fits(query))
    .filter((entry) => query.open !== "true" || isOpen(entry));
  const from = Number(query.cursor ?? 0);
  const to = from + Number(query.limit ?? 100);
  return {
    items: found.slice(from, to),
    total: found.length,
    as_of: stamp(NOW_MS),
    ...(to < found.length ? { next_cursor: String(to) } : {}),
  };
}

function replay(state, { ids, ...filter }) {
  if (ids && ids.length > IDS_MAX) throw new Refusal(422, "invalid", "too many entries");
  state.replays.push({ ids, ...filter });
  const chosen = all(state).filter((entry) => isOpen(entry) && (ids ? ids.includes(entry.id) : fits(filter)(entry)));
  for (const entry of chosen) entry.requested_at = stamp(NOW_MS);
  return { requested: chosen.length };
}

const stage = (received, passed, dropped, quarantined) => ({
  stage: "feed_documents",
  unit: "events",
  received,
  passed,
  dropped,
  quarantined,
  balanced: true,
});

const feed = (name, more) => ({
  name,
  format: "outrider.json",
  enabled: true,
  body_bytes_max: 1_048_576,
  requests_per_minute_max: 600,
  clock_error_s: 60,
  takes_unregistered: false,
  created_by: "jon",
  created_at: stamp(NOW_MS - 9_000 * MINUTE),
  changed_by: "jon",
  changed_at: stamp(NOW_MS - 9_000 * MINUTE),
  requests: stage(18_204, 18_203, {}, {}),
  documents: stage(98_112, 91_004, { duplicate: 6_995 }, { "feed.vehicle_unknown": 113 }),
  ...more,
});

const feeds = (state) =>
  state.empty
    ? []
    : [
        feed("backend", { platform: "P3", release: "2026.2" }),
        feed("relay", { format: "arcsight.cef", takes_unregistered: true }),
        feed("old", {
          enabled: false,
          reason: "sends rubbish",
          requests: stage(0, 0, {}, {}),
          documents: stage(0, 0, {}, {}),
        }),
      ];

const decoder = (name, format, more) => ({
  name,
  version: "1.2.0",
  format,
  platforms: [],
  namespace: name,
  owner: "Outrider",
  licence: "Apache-2.0",
  description: "Events of telematics units, one a line.",
  samples: 3,
  feeds: [],
  documents: stage(40_120, 40_000, { ignored: 7 }, { "map.time": 113 }),
  ...more,
});

const decoders = (state) =>
  state.empty
    ? []
    : [
        decoder("cef", "arcsight.cef", { feeds: ["relay"] }),
        decoder("outrider-json", "outrider.json", { feeds: ["backend", "old"] }),
        decoder("tcu2", "acme.tcu/2", { platforms: ["P3", "P4"], release_from: "2026.1" }),
      ];

const unclassified = (state, { days }) =>
  state.empty
    ? []
    : Array.from({ length: Math.min(12, 4 * Number(days)) }, (_unused, index) => ({
        foreign_type: index ? `TCU_EVENT_${index}` : "it's new",
        feed: index % 2 ? "backend" : "relay",
        ...(index % 3 ? { platform: "P3" } : {}),
        events: 4_200 - index * 311,
        vehicles: 120 - index * 7,
        first_at: stamp(NOW_MS - 6_000 * MINUTE),
        last_at: stamp(NOW_MS - index * MINUTE),
      }));

export const QUARANTINE_ROUTES = [
  ["GET /quarantine", (state, _parts, query) => list(state, query)],
  ["GET /quarantine/summary", (state) => summary(state)],
  ["POST /quarantine/replays", (state, _parts, _query, body) => replay(state, body)],
  ["GET /feeds", (state) => feeds(state)],
  ["GET /decoders", (state) => decoders(state)],
  ["GET /unclassified", (state, _parts, query) => unclassified(state, query)],
];
