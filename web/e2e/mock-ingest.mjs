// What the stand-in says of deliveries.
import { NOW_MS, stamp } from "./mock-data.mjs";

const HOUR = 3_600_000;

/** Counts of a fleet that is mostly well. */
export const ingestHealth = (state) => {
  const lane = (name, received, more) => ({
    lane: name,
    received,
    folded: Math.floor(received * 2.4),
    tombstoned: 0,
    open: 0,
    overdue: 0,
    balanced: 0,
    waiting: 0,
    inexact: 0,
    mismatched: 0,
    ...more,
  });
  const many = state.empty ? 0 : state.vehicles.length;
  const worst = state.vehicles.slice(0, 20).map((each, index) => ({
    vehicle_id: each.summary.vehicle_id,
    open: index % 4 === 0 ? 12_000 - index * 400 : 40 - index,
    overdue: index < 3 ? 512 - index * 100 : 0,
    tombstoned: index % 3 === 0 ? 51 : 0,
    findings: index < 2 ? 3 - index : 0,
    last_contact: stamp(NOW_MS - index * HOUR),
  }));
  return {
    vehicles: many,
    lanes: [
      lane("critical", many * 9, { balanced: many * 2 }),
      lane("batched", many * 8_140, {
        tombstoned: many * 31,
        open: many * 12,
        overdue: state.empty ? 0 : 1_124,
        balanced: many * 2 - 400,
        waiting: state.empty ? 0 : 380,
        mismatched: state.empty ? 0 : 2,
        inexact: state.empty ? 0 : 18,
      }),
      lane("deferred", many * 20_500, { tombstoned: many * 2_800, open: many * 700, waiting: many, balanced: many }),
    ],
    gaps: state.empty ? { open: 0, overdue: 0, tombstoned: 0 } : { open: 412, overdue: 3, tombstoned: 934 },
    lost_by_reason: state.empty ? {} : { evicted: many * 2_831, corrupt: 12, quota_full: 0 },
    tombstones_signed: state.empty ? 0 : 934,
    tombstones_unsigned: 0,
    duplicates: state.empty ? 0 : 81_204,
    quarantined: state.empty ? {} : { "row.equivocation": 4, "row.length": 2 },
    refused: state.empty ? {} : { "batch.signature": 12, "frame.rate": 3_204, "body.too_large": 1 },
    frames: state.empty ? 0 : 1_204_118,
    findings: state.empty ? 0 : 5,
    lag: state.empty ? { rows: 0 } : { rows: 88_121_004, p50_s: 4, p90_s: 16_384, p99_s: 2_097_152 },
    contacts: [300, 3600, 86_400, 604_800, 2_592_000, undefined].map((within_s, index) => ({
      within_s,
      vehicles: state.empty ? 0 : [1_400, 700, 500, 250, 120, 30][index],
    })),
    worst: state.empty ? [] : worst,
    as_of: stamp(NOW_MS),
  };
};

/** What the listeners count of connections. */
export const linkStatus = {
  sessions: 1_204,
  handshakes_full: 3_011,
  handshakes_resumed: 48_220,
  handshakes_failed: 12,
  handshakes_refused: 340,
  replies_unsent: 0,
  findings: 2,
  packets: { connect: 51_240, publish: 204_118, puback: 0, ping: 9_120 },
  refusals: { "vehicle.suspended": 31, "connect.version": 4, "publish.retain": 1 },
};

const account = (epoch, lane, more) => ({
  epoch,
  lane,
  contiguous_seq: 0,
  highest_seq: 0,
  received: 0,
  folded: 0,
  tombstoned: 0,
  tombstoned_observations: 0,
  unnumbered: 0,
  open: 0,
  overdue: 0,
  unreadable: 0,
  late: 0,
  kept: 0,
  state: "balanced",
  tombstones: [],
  ...more,
});

const tombstone = (from_seq, to_seq, more) => ({
  from_seq,
  to_seq,
  reason: "evicted",
  rows: to_seq - from_seq + 1,
  observations: (to_seq - from_seq + 1) * 7,
  first_at: stamp(NOW_MS - 60 * HOUR),
  last_at: stamp(NOW_MS - 52 * HOUR),
  signed: true,
  lost: [
    { event_type: "several", rows: 1, observations: 1 },
    { event_type: "sensor.state", severity: "info", rows: to_seq - from_seq, observations: 300 },
  ],
  ...more,
});

/** One vehicle's accounts: a boot that is whole, one that was offline and gave rows up, one that was tampered with. */
export const completeness = (state, id) => {
  if (state.empty) return { lanes: [], boots: [], outcomes: [], findings: [], as_of: stamp(NOW_MS) };
  const finding = (event_type, title, severity, fields, hours) => ({
    id: `${id}.9007199254740991.0.${hours}`,
    event_type,
    title,
    severity,
    lane: "critical",
    vehicle_id: id,
    event_time: stamp(NOW_MS - hours * HOUR),
    event_time_error_us: 0,
    ingest_time: stamp(NOW_MS - hours * HOUR),
    late: false,
    count: 1,
    fields: Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, { value }])),
  });
  return {
    lanes: [
      account(42, "critical", { contiguous_seq: 17, highest_seq: 17, counted: 29, received: 17, folded: 12 }),
      account(42, "batched", {
        contiguous_seq: 810,
        highest_seq: 1_022,
        counted: 3_801,
        received: 1_009,
        folded: 2_680,
        open: 13,
        state: "waiting",
      }),
      account(42, "deferred", {
        contiguous_seq: 3_310,
        highest_seq: 3_310,
        end_seq: 3_310,
        counted: 9_127,
        received: 3_259,
        folded: 5_511,
        tombstoned: 51,
        tombstoned_observations: 357,
        tombstones: [tombstone(90, 140)],
      }),
      account(41, "batched", {
        contiguous_seq: 96,
        highest_seq: 120,
        end_seq: 100,
        counted: 400,
        received: 96,
        folded: 300,
        overdue: 24,
        state: "waiting",
      }),
      account(40, "batched", {
        contiguous_seq: 600,
        highest_seq: 600,
        counted: 1_812,
        received: 580,
        folded: 1_200,
        tombstoned: 20,
        tombstoned_observations: 24,
        unnumbered: 5,
        late: 2,
        kept: 11,
        unreadable: 1,
        state: "mismatch",
        difference: -3,
        tombstones: [tombstone(1, 20, { signed: false, reason: "corrupt" })],
      }),
    ],
    boots: [
      [42, 3, "anchored", "gnss", { kind: "software", counter: 118, proof: "unchecked" }, 1_500],
      [41, 30, "bounded", undefined, { kind: "software", counter: 117, proof: "unproven" }, 9_000_000_000],
      [40, 50, "anchored", "real_time_clock", { kind: "tpm2", counter: 9, proof: "proven" }, 2_000_000],
      [39, 400, "unknown", undefined, undefined, 1_296_000_000_000],
    ].map(([epoch, hours, clock, clock_source, anchor, began_error_us]) => ({
      epoch,
      heard_at: stamp(NOW_MS - hours * HOUR),
      began_at: stamp(NOW_MS - hours * HOUR),
      began_error_us,
      clock,
      clock_source,
      refused_fixes: epoch === 41 ? 2 : 0,
      contradicted_fixes: 0,
      anchor,
    })),
    outcomes: [
      { epoch: 42, lane: "batched", from_seq: 301, to_seq: 500, filled: 200, tombstoned: 0, days: 3 },
      { epoch: 42, lane: "deferred", from_seq: 90, to_seq: 200, filled: 60, tombstoned: 51, days: 0.2 },
    ].map(({ days, ...gap }) => ({
      ...gap,
      since: stamp(NOW_MS - (days * 24 + 2) * HOUR),
      until: stamp(NOW_MS - 2 * HOUR),
    })),
    findings: [
      finding(
        "ingest.equivocation",
        "Two rows under one number",
        "critical",
        {
          reason: "row",
          about_epoch: 41,
          about_lane: "batched",
          seq_first: 64,
          seq_last: 64,
          row_hash_before: "5e1f09ab33c2d410",
          row_hash: "90b1c77e2a4d0f31",
        },
        5,
      ),
      finding(
        "ingest.counter_rollback",
        "Counter ran backwards",
        "critical",
        { reason: "rows_above_end", about_epoch: 41, about_lane: "batched", seq_first: 101, seq_last: 120 },
        6,
      ),
    ],
    last_contact: stamp(NOW_MS - 120_000),
    as_of: stamp(NOW_MS),
  };
};
