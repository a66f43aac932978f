// Seeded stand-in data for browser tests: the same seed gives the same fleet, alerts and events.
import { latLngToCell } from "h3-js";

export const NOW_MS = Date.parse("2026-11-20T12:00:00Z");
const MODELS = ["Aria", "Borea", "Cirrus", "Delta EV", "Everest"];
const REGIONS = [
  ["eu-west", 48.8, 4.2, 5],
  ["eu-central", 50.6, 11.4, 5],
  ["eu-north", 60.2, 16.5, 4],
  ["eu-south", 41.6, 13.1, 4],
  ["na-east", 40.2, -77.3, 6],
  ["na-west", 37.1, -120.4, 5],
  ["apac-jp", 35.8, 138.2, 3],
  ["apac-cn", 31.2, 117.9, 6],
  ["latam", -22.6, -47.2, 5],
];
const RELEASES = ["2026.14.2", "2026.18.0", "2026.22.1"];
export const RULES = [
  [
    "diag-seed-key",
    "Repeated security access failures",
    "high",
    "event_count",
    "diag.security_access_denied",
    ["unr155.4.3.2"],
  ],
  [
    "can-unknown-id",
    "Unknown CAN identifier on a known bus",
    "medium",
    "match",
    "can.unknown_id",
    ["unr155.4.3.3"],
  ],
  [
    "secoc-mac",
    "SecOC authentication failures",
    "critical",
    "event_count",
    "secoc.mac_failure",
    ["unr155.4.3.3", "unr155.4.3.5"],
  ],
  [
    "boot-integrity",
    "Boot integrity failure",
    "critical",
    "match",
    "boot.integrity_failure",
    ["unr155.4.3.6"],
  ],
  [
    "ota-signature",
    "Update refused for its signature",
    "high",
    "match",
    "ota.signature_failure",
    ["unr155.4.3.6"],
  ],
  [
    "fleet-unknown-id",
    "The same unknown identifier in many vehicles",
    "critical",
    "value_count",
    "can.unknown_id",
    ["unr155.4.3.1"],
  ],
  [
    "someip-offer",
    "Service offered by an unexpected host",
    "low",
    "match",
    "someip.unexpected_offer",
    ["unr155.4.3.1"],
  ],
  ["command-refused", "Vehicle refused a command", "info", "match", "command.rejected", []],
];

/** Small seeded generator (mulberry32). */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

export const stamp = (ms) => new Date(ms).toISOString().replace("Z", "000Z");
const pick = (next, list) => list[Math.floor(next() * list.length)];
const hex = (next, digits) =>
  Array.from({ length: digits }, () => Math.floor(next() * 16).toString(16)).join("");
const yamlOf = ([id, title, level, kind, type, tags]) => `# Generated for tests
title: ${title}
id: ${id}
status: stable
description: Fires when ${type} is seen${kind === "match" ? "" : " often enough"}.
logsource:
  product: vehicle
  category: security_event
detection:
  selection:
    event_type: ${type}
  condition: selection
${
  kind === "match"
    ? ""
    : `correlation:
  type: ${kind}
  group-by:
    - vehicle_id
  timespan: 10m
  condition:
    gte: 5
`
}level: ${level}
tags:
${tags.map((tag) => `  - ${tag}`).join("\n")}
`;

export function makeRules() {
  return RULES.map((row, index) => ({
    id: row[0],
    title: row[1],
    level: row[2],
    status: "stable",
    description: `Fires when ${row[4]} is seen${row[3] === "match" ? "" : " often enough within ten minutes"}.`,
    tags: row[5],
    kind: row[3],
    yaml: yamlOf(row),
    file: `rules/${row[0]}.yml`,
    findings: 900 - index * 97,
    alerts: 140 - index * 16,
    dispositions: index % 2 ? { false_positive: index, true_positive: 12 - index } : {},
    state_entries: index * 311,
    ...(row[0] === "someip-offer" ? { problems: ["line 12: field service_id is not in the catalogue"] } : {}),
  }));
}

const ECUS = [
  ["Gateway", 0],
  ["Engine control", 0],
  ["Transmission", 0],
  ["Brake control", 1],
  ["Steering", 1],
  ["Airbag", 1],
  ["Radar front", 4],
  ["Camera", 4],
  ["Body control", 2],
  ["Door left", 2],
  ["Door right", 2],
  ["Climate", 2],
  ["Seat", 3],
  ["Wiper", 3],
  ["Head unit", 4],
  ["Telematics", 4],
  ["Battery management", 0],
  ["Inverter", 0],
  ["Charger", 2],
];
const BUSES = [
  ["Powertrain", "can", 500],
  ["Chassis", "can", 500],
  ["Body", "can", 250],
  ["Comfort", "lin", 19],
  ["Backbone", "ethernet", 100000],
];

export function makeVehicles(count, seed = 7) {
  const next = random(seed);
  return Array.from({ length: count }, (_unused, index) => {
    const [region, lat, lng, spread] = REGIONS[index % REGIONS.length];
    const silent = next() < 0.06;
    return {
      summary: {
        vehicle_id: hex(next, 32),
        model_line: pick(next, MODELS),
        model_year: 2022 + Math.floor(next() * 5),
        platform: `P${1 + Math.floor(next() * 3)}`,
        region,
        release: pick(next, RELEASES),
        registered: true,
        registration: "registered",
        stage: index % 10 ? "full" : "planned",
        last_event_at: stamp(NOW_MS - Math.floor(next() * 86_400_000)),
        last_seen_at: stamp(NOW_MS - Math.floor(silent ? 9 * 86_400_000 : next() * 3_600_000)),
        open_alerts: 0,
        connectivity: silent ? "silent" : next() < 0.5 ? "online" : "recent",
      },
      place: [lat + (next() + next() - 1) * spread, lng + (next() + next() - 1) * spread * 1.4],
    };
  });
}

export function makeAlerts(count, vehicles, seed = 11) {
  const next = random(seed);
  const weights = [0.22, 0.3, 0.06, 0.01, 0.08, 0.005, 0.2, 0.125];
  const rule = () => {
    let rest = next();
    return RULES[weights.findIndex((weight) => (rest -= weight) <= 0)] ?? RULES[1];
  };
  return Array.from({ length: count }, (_unused, index) => {
    const [rule_id, rule_title, severity, kind, , tags] = rule();
    const vehicle = pick(next, vehicles).summary;
    const last = NOW_MS - Math.floor(index * 6_000 + next() * 5_000) - 20_000;
    const events = kind === "match" ? 1 + Math.floor(next() * 4) : 5 + Math.floor(next() * 400);
    const roll = next();
    const status = index < 4 ? "new" : roll < 0.62 ? "new" : roll < 0.8 ? "acknowledged" : "closed";
    const group =
      rule_id === "fleet-unknown-id" ? { can_id: `0x${hex(next, 3)}` } : { vehicle_id: vehicle.vehicle_id };
    const many = rule_id === "fleet-unknown-id" ? 12 + Math.floor(next() * 300) : 1;
    if (status !== "closed") {
      vehicle.open_alerts += 1;
      const rank = ["critical", "high", "medium", "low", "info"];
      if (!vehicle.worst_severity || rank.indexOf(severity) < rank.indexOf(vehicle.worst_severity))
        vehicle.worst_severity = severity;
    }
    return {
      id: `al-${hex(next, 16)}`,
      rule_id,
      rule_title,
      severity,
      status,
      title: many > 1 ? `${rule_title}: ${group.can_id}` : `${rule_title} on ${pick(next, ECUS)[0]}`,
      group,
      model_line: vehicle.model_line,
      vehicle_count: many,
      event_count: events * many,
      finding_count: 1 + Math.floor(next() * 3),
      first_at: stamp(last - Math.floor(next() * 3_600_000)),
      last_at: stamp(last),
      detected_at: stamp(last + 400),
      revision: 1 + Math.floor(next() * 5),
      late: next() < 0.04,
      tags,
      ...(status === "new" ? {} : { owner: "mara" }),
      ...(status === "closed"
        ? { disposition: pick(next, ["true_positive", "false_positive", "hardware_fault"]) }
        : {}),
      vehicle: vehicle.vehicle_id,
    };
  });
}

/** What detectors write into events of these types, as the catalogue names it. */
const EDGE = {
  "can.cycle_time": (next) => ({
    gap_us: 180 + Math.floor(next() * 900),
    gap_expected_us: 10_000,
    frames: 12,
    detector: "cycle_time",
    p_value_ppm: Math.floor(next() * 900),
  }),
  "can.wrong_dlc": () => ({ dlc_expected: 8, dlc_observed: 3, detector: "dlc", p_value_ppm: 1 }),
  "can.flood": (next) => ({
    rate_hz: 3_900 + Math.floor(next() * 900),
    rate_limit_hz: 1_200,
    bus_load_percent: 97,
    detector: "flood",
  }),
  "can.signal_range": (next) => ({
    signal_name: "BrakePressure",
    signal_value: 251.25 + Math.floor(next() * 90),
    signal_min: -1.5,
    signal_max: 180,
  }),
  "can.checksum_mismatch": () => ({ crc_expected: 17, crc_observed: 240 }),
  "can.unknown_id": () => ({
    detector: "unknown_id",
    p_value_ppm: 1,
    expected: "one of 84 known identifiers",
    observed: "0x7df, never seen on this bus",
  }),
  "can.warm_up_complete": () => ({ known_ids: 84, duration_us: 12_000_000, frames: 40_112 }),
  "host.sensor_degraded": () => ({ component: "fanotify", reason: "queue full", dropped: 112 }),
  "ids.status": () => ({ alarms: 7, alarms_budget: 30, detector: "budget" }),
};
const UNITS = { gap_us: "µs", gap_expected_us: "µs", rate_hz: "Hz", rate_limit_hz: "Hz", duration_us: "µs" };
export const EDGE_TYPES = Object.keys(EDGE);

const fieldsOf = (kind, next) =>
  Object.fromEntries(
    Object.entries(EDGE[kind]?.(next) ?? {}).map(([name, value]) => [
      name,
      { value, ...(UNITS[name] ? { unit: UNITS[name] } : {}) },
    ]),
  );

export function makeEvents(vehicleId, type, count, before, seed = 3, kinds = RULES.map((rule) => rule[4])) {
  const next = random(seed);
  const severities = {
    "secoc.mac_failure": "critical",
    "boot.integrity_failure": "critical",
    "diag.security_access_denied": "high",
    "ota.signature_failure": "high",
    "can.unknown_id": "medium",
  };
  return Array.from({ length: count }, (_unused, index) => {
    const kind = type ?? pick(next, kinds);
    const at = before - index * 12_000 - Math.floor(next() * 9_000);
    return {
      id: `${vehicleId.slice(0, 8)}-42-0-${1000 - index}`,
      event_type: kind,
      title: kind.split(".").join(" ").replaceAll("_", " "),
      severity: severities[kind] ?? "low",
      lane: severities[kind] === "critical" ? "critical" : "batched",
      vehicle_id: vehicleId,
      model_line: "Aria",
      event_time: stamp(at),
      event_time_error_us: 1500,
      ingest_time: stamp(at + 800),
      late: index === 3,
      count: index % 5 === 0 ? 12 : 1,
      ...(kind.startsWith("host.") ? {} : { bus: kind.startsWith("ids.") ? 0 : index % 5 }),
      ...(/^(ids|host)\.|warm_up/.test(kind) ? {} : { ecu: `ECU ${1 + (index % 18)}` }),
      fields: {
        can_id: { value: `0x${hex(next, 3)}` },
        service: { value: 39 },
        response_code: { value: 53 },
        ...fieldsOf(kind, next),
      },
      context_hex: hex(next, 16),
    };
  });
}

export function vehicleDetail(summary) {
  const next = random(parseInt(summary.vehicle_id.slice(0, 7), 16));
  const worst = summary.worst_severity;
  return {
    ...summary,
    ecus: ECUS.map(([name, bus], index) => ({
      ecu_id: index + 1,
      name,
      bus,
      ...(index % 7 === 6
        ? {}
        : {
            software: `${1 + Math.floor(next() * 9)}.${Math.floor(next() * 20)}.${Math.floor(next() * 10)}`,
          }),
      ...(index === 3 && worst ? { worst_severity: worst } : {}),
      events_24h: Math.floor(next() * 900),
    })),
    buses: BUSES.map(([name, kind, bitrate_kbit], index) => ({
      bus_id: index,
      name,
      kind,
      bitrate_kbit,
      events_24h: Math.floor(next() * 4000),
      ...(index === 1 && worst ? { worst_severity: worst } : {}),
    })),
    gaps: [
      {
        epoch: 42,
        lane: "batched",
        from_seq: 811,
        to_seq: 815,
        state: "open",
        since: stamp(NOW_MS - 7_200_000),
      },
      {
        epoch: 41,
        lane: "deferred",
        from_seq: 90,
        to_seq: 140,
        state: "tombstoned",
        since: stamp(NOW_MS - 90_000_000),
      },
    ],
    lanes: [
      { lane: "critical", epoch: 42, contiguous_seq: 17, highest_seq: 17, dropped: 0 },
      { lane: "batched", epoch: 42, contiguous_seq: 810, highest_seq: 1022, dropped: 0 },
      { lane: "deferred", epoch: 42, contiguous_seq: 3310, highest_seq: 3310, dropped: 51 },
    ],
    clock: { source: "gnss", error_us: 1500, refused_fixes: 2 },
    capabilities: ["evidence_capture", "rule_pack_v1"],
    features: ["ota", "v2x"],
    sensors: [
      {
        sensor: "can",
        bus_id: 0,
        mode: "model",
        operating_mode: "driving",
        frames: 7_400_000,
        alarms: 2,
        alarm_budget_per_hour: 1,
        withheld: 5,
        gated: 12,
        dropped: 0,
        span_s: 3600,
        as_of: stamp(NOW_MS - 1_200_000),
      },
      ...[
        ["can.payload", 1, 0, 0, false],
        ["can.stuck", 3, 0, 5, true],
        ["can.event_rate", 0, 2, 0, false],
      ].map(([sensor, alarms, budget_left, withheld, demoted]) => ({
        sensor,
        bus_id: 0,
        mode: "habit",
        frames: 0,
        alarms,
        alarm_budget_per_hour: 1,
        budget_left,
        withheld,
        demoted,
        dropped: 0,
        span_s: 3600,
        as_of: stamp(NOW_MS - 1_200_000),
      })),
      {
        sensor: "can",
        bus_id: 1,
        mode: "learned",
        operating_mode: "flashing",
        frames: 210_000,
        alarms: 0,
        alarm_budget_per_hour: 1,
        withheld: 0,
        gated: 3,
        dropped: 0,
        span_s: 600,
        as_of: stamp(NOW_MS - 1_200_000),
      },
    ],
  };
}

export function mapCells(vehicles, resolution) {
  const cells = new Map();
  for (const { summary, place } of vehicles) {
    const h3 = latLngToCell(place[0], place[1], resolution);
    const cell = cells.get(h3) ?? { h3, vehicles: 0, events: 0, alerts: 0 };
    cell.vehicles += 1;
    cell.events += (parseInt(summary.vehicle_id.slice(0, 2), 16) % 40) + 1;
    cell.alerts += summary.open_alerts;
    if (summary.worst_severity) cell.worst_severity = summary.worst_severity;
    cells.set(h3, cell);
  }
  return [...cells.values()].slice(0, 5000);
}

export function regionRows(vehicles) {
  const rows = new Map();
  for (const { summary } of vehicles) {
    const row = rows.get(summary.region) ?? {
      region: summary.region,
      vehicles: 0,
      reporting: 0,
      events_24h: 0,
      open_alerts: 0,
      worst_severity: "medium",
    };
    row.vehicles += 1;
    row.reporting += summary.connectivity === "silent" ? 0 : 1;
    row.events_24h += 31;
    row.open_alerts += summary.open_alerts;
    rows.set(summary.region, row);
  }
  return [...rows.values()];
}
