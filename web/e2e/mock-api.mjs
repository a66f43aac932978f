// The stand-in's state and what its endpoints answer; `mock-server.mjs` puts it behind HTTP.
import { createHash } from "node:crypto";
import { push, Refusal } from "./mock-base.mjs";
import {
  EDGE_TYPES,
  makeAlerts,
  makeEvents,
  makeRules,
  makeVehicles,
  mapCells,
  NOW_MS,
  regionRows,
  RULES,
  stamp,
  vehicleDetail,
} from "./mock-data.mjs";
import { HUNT_ROUTES } from "./mock-hunt.mjs";
import { REVEAL_ROUTES } from "./mock-reveal.mjs";
import { IDENTITY_ROUTES } from "./mock-identity.mjs";
import { completeness, ingestHealth, linkStatus } from "./mock-ingest.mjs";
import { STOP_ROUTES } from "./mock-stop.mjs";
import { makeQuarantine, QUARANTINE_ROUTES } from "./mock-quarantine.mjs";
import { makeUpdates, UPDATE_ROUTES } from "./mock-updates.mjs";

const SEVERITIES = ["critical", "high", "medium", "low", "info"];
/** Pause between two states of a request for evidence. */
const STEPS_MS = 120;

/** The stand-in's whole state; `control` of the tests changes it. */
export function makeState(alertCount, vehicleCount) {
  const vehicles = makeVehicles(vehicleCount);
  const alerts = makeAlerts(alertCount, vehicles);
  return {
    vehicles,
    alerts,
    rules: makeRules(),
    cases: new Map(),
    sessions: new Map(),
    streams: new Set(),
    eventId: 0,
    fail: [],
    empty: false,
    mustChange: false,
    user: "mara",
    stop: { is_set: false },
    /** Identities that somebody asked for. */
    identities: new Map(),
    reveals: [],
    updates: makeUpdates(),
    quarantine: makeQuarantine(vehicles),
    /** Replays, as they were asked for. */
    replays: [],
    /** While true, no vehicle answers a command. */
    silent: false,
    detect: {},
    /** Queries in SQL, as they came. */
    asked: [],
    role: "admin",
    users: [
      {
        name: "mara",
        role: "admin",
        disabled: false,
        must_change_password: false,
        created_at: stamp(NOW_MS - 9e9),
        last_login_at: stamp(NOW_MS - 60_000),
      },
      {
        name: "jon",
        role: "analyst",
        disabled: false,
        must_change_password: true,
        created_at: stamp(NOW_MS - 8e8),
      },
    ],
  };
}

const words = (text) => (text ? String(text).split(",").filter(Boolean) : []);

function matcher(query, { ignoreSeverity = false } = {}) {
  const status = words(query.status);
  const severity = ignoreSeverity ? [] : words(query.severity);
  const typed = (query.q ?? "").toLowerCase();
  return (alert) =>
    (status.length === 0 || status.includes(alert.status)) &&
    (severity.length === 0 || severity.includes(alert.severity)) &&
    (!query.rule || alert.rule_id === query.rule) &&
    (!query.model_line || alert.model_line === query.model_line) &&
    (!query.vehicle || alert.vehicle === query.vehicle) &&
    (!query.case || alert.case_id === query.case) &&
    (!typed ||
      `${alert.title} ${alert.rule_title} ${Object.values(alert.group).join(" ")}`
        .toLowerCase()
        .includes(typed));
}

function sorter(sort = "-last_at") {
  const down = sort.startsWith("-");
  const field = sort.replace("-", "");
  const key = (alert) => (field === "severity" ? -SEVERITIES.indexOf(alert.severity) : alert[field]);
  return (a, b) => {
    const order = key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : a.id < b.id ? -1 : 1;
    return down ? -order : order;
  };
}

const page = (items, query) => {
  const from = Number(query.cursor ?? 0);
  const limit = Math.min(500, Number(query.limit ?? 100));
  return {
    items: items.slice(from, from + limit),
    ...(from + limit < items.length ? { next_cursor: String(from + limit) } : {}),
    total: items.length,
    as_of: stamp(NOW_MS),
  };
};

const counts = (alerts) =>
  Object.fromEntries(
    SEVERITIES.map((severity) => [
      severity,
      alerts.reduce((sum, alert) => sum + (alert.severity === severity ? 1 : 0), 0),
    ]),
  );

function alertDetail(state, alert) {
  const rule = state.rules.find((each) => each.id === alert.rule_id);
  const vehicle = state.vehicles.find((each) => each.summary.vehicle_id === alert.vehicle).summary;
  const last = Date.parse(alert.last_at);
  const type = RULES.find(([id]) => id === rule.id)[4];
  const counted = rule.kind !== "match";
  const names = [
    vehicle,
    ...(alert.vehicle_count > 1
      ? state.vehicles.slice(0, Math.min(99, alert.vehicle_count - 1)).map((each) => each.summary)
      : []),
  ];
  return {
    ...alert,
    explanation: {
      summary: counted
        ? `${alert.event_count} matching events within 10 minutes, where 5 are enough.`
        : `One event matched every condition of “${rule.title}”.`,
      rule_yaml: rule.yaml,
      condition: counted ? "condition:\n  gte: 5" : "condition: selection",
      matched: [
        { field: "event_type", op: "equals", expected: type, observed: type },
        { field: "response_code", op: "one of", expected: "53, 54", observed: "53" },
      ],
      ...(counted
        ? {
            window: {
              from: stamp(last - 600_000),
              to: stamp(last),
              threshold: rule.kind === "value_count" ? 10 : 5,
              observed: rule.kind === "value_count" ? alert.vehicle_count : alert.event_count,
              operator: "gte",
              ...(rule.kind === "value_count" ? { field: "vehicle_id" } : {}),
            },
          }
        : {}),
      below_threshold: counted
        ? "Four or fewer such events in any ten minutes."
        : "The same event with response_code 0.",
    },
    findings: Array.from({ length: alert.finding_count }, (_unused, index) => ({
      id: `f-${index}`,
      window_from: stamp(last - 600_000 * (index + 1)),
      window_to: stamp(last - 600_000 * index),
      revision: 1,
      late: index === 1 && alert.late,
      value: alert.event_count,
      vehicle_count: alert.vehicle_count,
    })),
    vehicles: names.map(({ vehicle_id, model_line, region, release }, index) => ({
      vehicle_id,
      model_line,
      region,
      release,
      events: 3 + index,
    })),
    evidence_events: makeEvents(alert.vehicle, type, Math.min(50, alert.event_count), last),
    history: alert.history ?? [],
    similar: state.alerts.filter((each) => each.rule_id === alert.rule_id && each !== alert).slice(0, 5),
  };
}

const STATUS_AFTER = { acknowledge: "acknowledged", unacknowledge: "new", close: "closed", reopen: "new" };
const FROM = {
  acknowledge: ["new"],
  unacknowledge: ["acknowledged"],
  close: ["new", "acknowledged"],
  reopen: ["closed"],
};

function act(state, { action, selection, disposition, note, case_id, owner }) {
  if (action === "close" && !disposition) throw new Refusal(422, "invalid", "disposition: is missing");
  const except = new Set(selection.except ?? []);
  const ids = new Set(selection.ids ?? []);
  const chosen = selection.query
    ? state.alerts.filter(matcher(selection.query)).filter((alert) => !except.has(alert.id))
    : state.alerts.filter((alert) => ids.has(alert.id));
  const refused = [];
  const changed = [];
  for (const alert of chosen) {
    if (FROM[action] && !FROM[action].includes(alert.status)) {
      refused.push({ id: alert.id, code: "wrong_status", message: `the alert is ${alert.status}` });
      continue;
    }
    if (STATUS_AFTER[action]) alert.status = STATUS_AFTER[action];
    if (action === "acknowledge") alert.owner = "mara";
    if (action === "unacknowledge") delete alert.owner;
    if (action === "close") alert.disposition = disposition;
    else if (STATUS_AFTER[action]) delete alert.disposition;
    if (action === "assign") alert.owner = owner;
    if (action === "add_to_case") alert.case_id = case_id;
    alert.history = [
      { at: stamp(NOW_MS), by: "mara", action, ...(note ? { note } : {}) },
      ...(alert.history ?? []),
    ];
    changed.push(alert.id);
  }
  for (const id of changed.slice(0, 20))
    push(
      state,
      "alert",
      state.alerts.find((alert) => alert.id === id),
    );
  return { changed: changed.length, changed_ids: changed.slice(0, 10_000), refused: refused.slice(0, 1000) };
}

const caseView = (state, item) => {
  const alerts = state.alerts.filter((alert) => alert.case_id === item.id);
  const ids = new Set(alerts.map((alert) => alert.vehicle));
  const vehicles = state.vehicles
    .filter((each) => ids.has(each.summary.vehicle_id))
    .map((each) => each.summary);
  return {
    ...item,
    alerts,
    vehicles,
    alert_count: alerts.length,
    vehicle_count: vehicles.length,
    open_evidence: item.evidence.filter((each) => each.state !== "received").length,
  };
};

export function findCase(state, id) {
  const found = state.cases.get(id);
  if (!found) throw new Refusal(404, "not_found", "no such case");
  return found;
}

function openCase(state, { title, severity, alert_ids = [] }) {
  const id = `case-${state.cases.size + 1}`;
  const at = stamp(NOW_MS);
  state.cases.set(id, {
    id,
    title,
    severity,
    status: "new",
    created_at: at,
    created_by: "mara",
    updated_at: at,
    evidence: [],
    timeline: [{ at, by: "mara", kind: "opened", text: title }],
  });
  for (const alert of state.alerts) if (alert_ids.includes(alert.id)) alert.case_id = id;
  return caseView(state, state.cases.get(id));
}

/** Stand-in for the bytes a vehicle would send. */
export const capture = (eventId) => Buffer.from(`capture around ${eventId}\n`.repeat(900));

/** Walks a request through all its states, as gate, vehicle and listener would. */
function requestEvidence(state, item, wish) {
  if (wish.seconds_before > 120) throw new Refusal(422, "invalid", "seconds_before: at most 120");
  const digest = createHash("sha256").update(capture(wish.event_id)).digest("hex");
  const request = {
    id: `er-${item.evidence.length + 1}`,
    case_id: item.id,
    ...wish,
    requested_by: "mara",
    requested_at: stamp(NOW_MS),
    state: "requested",
    reasons: [],
    steps: [{ at: stamp(NOW_MS), state: "requested", text: "asked for by mara" }],
  };
  if (state.stop.is_set) {
    const refused = {
      at: stamp(NOW_MS),
      state: "refused_by_gate",
      text: "The safety gate refused: stopped.",
    };
    Object.assign(request, { state: "refused_by_gate", reasons: ["stopped"] });
    request.steps.push(refused);
  }
  item.evidence.unshift(request);
  item.timeline.unshift({
    at: stamp(NOW_MS),
    by: "mara",
    kind: "evidence",
    text: "Evidence requested",
    ref: request.id,
  });
  const later = [
    ["permitted", "gate: effect class none", { permit_id: "pm-51c0a9b2f0aa" }],
    [
      "sent",
      "signed command handed to the vehicle's session",
      { command_id: digest.slice(0, 32), sequence: 7, expires_at: stamp(NOW_MS + 3_600_000) },
    ],
    ["accepted", "vehicle verified the command", {}],
    [
      "received",
      "capture stored",
      {
        sha256: digest,
        bytes: capture(wish.event_id).length,
        media_type: "application/vnd.tcpdump.pcap",
        received_at: stamp(NOW_MS + 4000),
      },
    ],
  ];
  later.forEach(([name, text, more], index) =>
    setTimeout(
      () => {
        const over = request.state === "refused_by_gate" || request.state === "expired";
        if (over || (state.silent && index > 1)) return;
        Object.assign(request, more, { state: name });
        request.steps = [...request.steps, { at: stamp(NOW_MS + (index + 1) * 1000), state: name, text }];
        push(state, "evidence", request);
      },
      STEPS_MS * (index + 1),
    ).unref(),
  );
  return request;
}

function overview(state) {
  const open = state.alerts.filter((alert) => alert.status !== "closed");
  const byStatus = (status) => state.alerts.filter((alert) => alert.status === status).length;
  if (state.empty)
    return {
      open: counts([]),
      alerts_by_status: { new: 0, acknowledged: 0, closed: 0 },
      ingest_lag_ms: 0,
      events_per_second: 0,
      events_stored: 0,
      vehicles: { known: 0, reporting_24h: 0, silent: 0 },
      waiting: [],
      rate: [],
      top_rules: [],
      top_models: [],
      as_of: stamp(NOW_MS),
    };
  const silent = state.vehicles.filter((each) => each.summary.connectivity === "silent").length;
  return {
    open: counts(open),
    alerts_by_status: {
      new: byStatus("new"),
      acknowledged: byStatus("acknowledged"),
      closed: byStatus("closed"),
    },
    oldest_unacknowledged_at: stamp(NOW_MS - 5_400_000),
    ingest_lag_ms: 310,
    events_per_second: 1840.4,
    events_stored: 214_003_112,
    vehicles: { known: state.vehicles.length, reporting_24h: state.vehicles.length - silent, silent },
    waiting: open
      .slice(0, 5)
      .map((alert) => ({ kind: "alert", id: alert.id, title: alert.title, since: alert.detected_at })),
    rate: Array.from({ length: 60 }, (_unused, index) => ({
      at: stamp(NOW_MS - (60 - index) * 60_000),
      events: Math.round(90_000 + 30_000 * Math.sin(index / 6) + (index > 44 && index < 50 ? 80_000 : 0)),
      findings: index > 44 && index < 50 ? 40 + index : (index * 7) % 9,
    })),
    top_rules: state.rules.slice(0, 6).map((rule) => ({
      rule_id: rule.id,
      title: rule.title,
      alerts: open.filter((alert) => alert.rule_id === rule.id).length,
    })),
    top_models: ["Aria", "Borea", "Cirrus", "Delta EV", "Everest"].map((model_line) => ({
      model_line,
      alerts: open.filter((alert) => alert.model_line === model_line).length,
      vehicles: state.vehicles.filter((each) => each.summary.model_line === model_line).length,
    })),
    as_of: stamp(NOW_MS),
  };
}

const health = (state) => ({
  stages: state.empty
    ? []
    : [
        {
          stage: "accept",
          unit: "batches",
          received: 120_441,
          passed: 120_404,
          dropped: {},
          quarantined: { bad_signature: 31, too_large: 6 },
          balanced: true,
        },
        {
          stage: "dedupe",
          unit: "events",
          received: 9_412_008,
          passed: 9_201_110,
          dropped: { duplicate: 210_898 },
          quarantined: {},
          balanced: true,
        },
        {
          stage: "decode",
          unit: "events",
          received: 9_201_110,
          passed: 9_201_001,
          dropped: {},
          quarantined: { unknown_event_type: 104, truncated: 5 },
          balanced: true,
        },
        {
          stage: "rules",
          unit: "events",
          received: 9_201_001,
          passed: 9_200_998,
          dropped: {},
          quarantined: {},
          balanced: false,
        },
      ],
  log: { head_offset: 120_404, worker_offset: 120_391, lag_records: 13, bytes: 4_811_223_040, partitions: [] },
  lake: {
    version: 8112,
    rows: 214_003_112,
    files: 902,
    bytes: 61_202_334_111,
    last_commit_at: stamp(NOW_MS - 2_000),
  },
  ...(state.empty ? {} : { links: linkStatus }),
  detect: { state_entries: 812_334, late_findings: 41, ...state.detect },
  gaps: { open: 12, overdue: 2, tombstoned: 934 },
  database: { bytes: 81_222_111 },
  uptime_s: 93_211,
  version: "0.1.0",
  as_of: stamp(NOW_MS),
});

function findVehicle(state, id) {
  const found = state.vehicles.find((each) => each.summary.vehicle_id === id);
  if (!found) throw new Refusal(404, "not_found", "no such vehicle");
  return found.summary;
}

/** Method and path pattern against what answers; `:x` binds one part. */
const ROUTES = [
  ...STOP_ROUTES,
  ...HUNT_ROUTES,
  ...IDENTITY_ROUTES,
  ...REVEAL_ROUTES,
  ...UPDATE_ROUTES,
  ...QUARANTINE_ROUTES,
  ["GET /overview", (state) => overview(state)],
  [
    "GET /alerts",
    (state, _parts, query) => {
      const all = state.empty ? [] : state.alerts;
      return {
        ...page(all.filter(matcher(query)).sort(sorter(query.sort)), query),
        counts: counts(all.filter(matcher(query, { ignoreSeverity: true }))),
      };
    },
  ],
  ["POST /alerts/actions", (state, _parts, _query, body) => act(state, body)],
  [
    "GET /alerts/:id",
    (state, { id }) => {
      const found = state.alerts.find((alert) => alert.id === id);
      if (!found) throw new Refusal(404, "not_found", "no such alert");
      return alertDetail(state, found);
    },
  ],
  [
    "GET /cases",
    (state, _parts, query) =>
      page(
        (state.empty ? [] : [...state.cases.values()])
          .filter((item) => words(query.status).includes(item.status) || !query.status)
          .map((item) => caseView(state, item)),
        query,
      ),
  ],
  ["POST /cases", (state, _parts, _query, body) => openCase(state, body)],
  ["GET /cases/:id", (state, { id }) => caseView(state, findCase(state, id))],
  [
    "POST /cases/:id/notes",
    (state, { id }, _query, { text }) => {
      const item = findCase(state, id);
      item.timeline.unshift({ at: stamp(NOW_MS), by: "mara", kind: "note", text });
      return caseView(state, item);
    },
  ],
  [
    "POST /cases/:id/close",
    (state, { id }, _query, { disposition, note }) => {
      const item = findCase(state, id);
      Object.assign(item, { status: "closed", disposition });
      item.timeline.unshift({ at: stamp(NOW_MS), by: "mara", kind: "closed", text: note });
      return caseView(state, item);
    },
  ],
  [
    "POST /cases/:id/evidence-requests",
    (state, { id }, _query, body) => requestEvidence(state, findCase(state, id), body),
  ],
  [
    "GET /vehicles",
    (state, _parts, query) =>
      page(
        state.empty
          ? []
          : state.vehicles
              .map((each) => each.summary)
              .filter(
                (each) =>
                  (!query.region || each.region === query.region) &&
                  (!query.stage || each.stage === query.stage) &&
                  (!query.platform || each.platform === query.platform) &&
                  (!query.status || each.connectivity === query.status) &&
                  (!query.q ||
                    each.vehicle_id.startsWith(query.q) ||
                    each.model_line.toLowerCase().includes(query.q.toLowerCase())),
              ),
        query,
      ),
  ],
  [
    "GET /vehicles/:id",
    (state, { id }) =>
      state.empty
        ? {
            ...vehicleDetail(findVehicle(state, id)),
            ecus: [],
            buses: [],
            gaps: [],
            lanes: [],
            capabilities: [],
            features: [],
            sensors: [],
          }
        : vehicleDetail(findVehicle(state, id)),
  ],
  ["GET /vehicles/:id/completeness", (state, { id }) => completeness(state, id)],
  ["GET /ingest", (state) => ingestHealth(state)],
  [
    "GET /vehicles/:id/timeline",
    (state, { id }, query) =>
      page(
        state.empty
          ? []
          : makeEvents(id, undefined, 340, NOW_MS - 60_000, 5, [
              ...EDGE_TYPES,
              ...RULES.map((rule) => rule[4]),
            ]),
        query,
      ),
  ],
  [
    "GET /fleet/map",
    (state, _parts, query) => ({
      resolution: Number(query.resolution),
      layer: query.layer,
      cells: state.empty ? [] : mapCells(state.vehicles, Number(query.resolution)),
      as_of: stamp(NOW_MS),
    }),
  ],
  ["GET /fleet/regions", (state) => (state.empty ? [] : regionRows(state.vehicles))],
  ["GET /health", (state) => health(state)],
  ["GET /rules", (state) => (state.empty ? [] : state.rules)],
  ["GET /users", (state) => page(state.users, {})],
  [
    "POST /users",
    (state, _parts, _query, { name, role }) => {
      const user = { name, role, disabled: false, must_change_password: true, created_at: stamp(NOW_MS) };
      state.users.push(user);
      return user;
    },
  ],
  [
    "PATCH /users/:id",
    (state, { id }, _query, body) =>
      Object.assign(
        state.users.find((user) => user.name === id),
        body,
      ),
  ],
];

export function route(method, path) {
  for (const [pattern, answer] of ROUTES) {
    const [verb, shape] = pattern.split(" ");
    const wanted = shape.split("/");
    const given = path.split("/");
    if (verb !== method || wanted.length !== given.length) continue;
    const parts = {};
    if (
      wanted.every((part, index) =>
        part.startsWith(":")
          ? ((parts[part.slice(1)] = decodeURIComponent(given[index])), true)
          : part === given[index],
      )
    )
      return { answer, parts };
  }
  return undefined;
}
