// Artifacts, rollouts and configuration in the stand-in, with the rules of the server.
import { createHash } from "node:crypto";
import { push, Refusal } from "./mock-base.mjs";
import { NOW_MS, stamp } from "./mock-data.mjs";

const KINDS = ["policy", "rules", "model"];
const hash = (text) => createHash("sha256").update(text).digest("hex");
const refuse = (status, code, message) => {
  throw new Refusal(status, code, message);
};

/** What begins every run: one artifact, nothing ordered. */
export const makeUpdates = () => ({
  artifacts: [artifact("policy", 3, { platform: "P3", by: "jon", at: NOW_MS - 86_400_000 })],
  rollouts: new Map(),
  told: { policy: 2, rules: 0, model: 1 },
  returned: undefined,
});

const artifact = (kind, version, { platform, by, at, bytes = 356 }) => ({
  sha256: hash(`${kind} ${version}`),
  kind,
  version,
  ...(platform ? { platform } : {}),
  key_id: "3fa19c0de4b77a51",
  signer: "release team",
  made_at: stamp(at - 3_600_000),
  bytes,
  payload_checked: kind === "policy",
  uploaded_by: by,
  uploaded_at: stamp(at),
});

const list = (items) => ({ items, total: items.length, as_of: stamp(NOW_MS) });

function summary(rollout) {
  const { orders, ...rest } = rollout;
  const counts = new Map();
  for (const order of orders) counts.set(order.state, (counts.get(order.state) ?? 0) + 1);
  const states = [...counts].map(([state, count]) => ({ state, orders: count }));
  return { ...rest, vehicles: orders.length, states };
}
const view = (rollout) => ({ ...summary(rollout), orders: rollout.orders });

/** Moves an order on and tells the streams. */
export function moveOrder(state, order, next, text, more = {}) {
  const step = { at: stamp(NOW_MS), state: next, text };
  Object.assign(order, { state: next, steps: [...order.steps, step], ...more });
  push(state, "update", order);
}

/** Writes a proposal down, as somebody. */
export function proposeRollout(state, by, { sha256, vehicle_ids = [], platform, reason }) {
  const of = state.updates.artifacts.find((each) => each.sha256 === sha256);
  if (!of) refuse(404, "not_found", "no such artifact");
  const vehicles = platform
    ? state.vehicles.slice(0, 2).map((each) => each.summary.vehicle_id)
    : vehicle_ids.map((id) => {
        if (!/^[0-9a-f]{32}$/.test(id)) refuse(422, "invalid", `"${id}" is no vehicle id`);
        return id;
      });
  const id = `rollout-${state.updates.rollouts.size + 1}`;
  const rollout = {
    id,
    sha256,
    kind: of.kind,
    version: of.version,
    reason,
    proposed_by: by,
    proposed_at: stamp(NOW_MS),
    lapses_at: stamp(NOW_MS + 7 * 86_400_000),
    orders: vehicles.map((vehicle_id, index) => ({
      id: `update-${id}-${index}`,
      rollout_id: id,
      vehicle_id,
      sha256,
      kind: of.kind,
      version: of.version,
      proposed_by: by,
      state: "proposed",
      reasons: [],
      expires_at: stamp(NOW_MS + 7 * 86_400_000),
      steps: [{ at: stamp(NOW_MS), state: "proposed", text: `${by} proposed it: ${reason}` }],
    })),
  };
  state.updates.rollouts.set(id, rollout);
  for (const order of rollout.orders) push(state, "update", order);
  return view(rollout);
}

const find = (state, id) => state.updates.rollouts.get(id) ?? refuse(404, "not_found", "no such rollout");

function confirm(state, id, reason) {
  const rollout = find(state, id);
  if (rollout.proposed_by === state.user) refuse(409, "conflict", "another person must confirm the rollout");
  const waiting = rollout.orders.filter((order) => order.state === "proposed");
  if (waiting.length === 0) refuse(409, "conflict", `no order of rollout ${id} can become confirmed`);
  Object.assign(rollout, { confirmed_by: state.user, confirmed_at: stamp(NOW_MS) });
  for (const order of waiting) {
    order.confirmed_by = state.user;
    moveOrder(state, order, "confirmed", `${state.user} confirmed it: ${reason}`);
    if (state.stop.is_set)
      moveOrder(state, order, "refused_by_gate", "The safety gate refused: stopped.", {
        reasons: ["stopped"],
      });
    else
      moveOrder(state, order, "permitted", "The safety gate permitted it.", {
        permit_id: hash(`permit ${order.id}`).slice(0, 32),
        command_id: hash(`command ${order.id}`).slice(0, 32),
        sequence: 4,
        expires_at: stamp(NOW_MS + 86_400_000),
      });
  }
  return view(rollout);
}

function cancel(state, id, reason) {
  const rollout = find(state, id);
  const open = rollout.orders.filter((order) => ["proposed", "confirmed", "permitted"].includes(order.state));
  if (open.length === 0) refuse(409, "conflict", `no order of rollout ${id} can become cancelled`);
  Object.assign(rollout, { cancelled_by: state.user, cancelled_at: stamp(NOW_MS) });
  for (const order of open) moveOrder(state, order, "cancelled", `${state.user} withdrew it: ${reason}`);
  return view(rollout);
}

function upload(state, { octets }) {
  const text = octets?.toString() ?? "";
  const [kind, version] = text.split(" ");
  if (!KINDS.includes(kind))
    refuse(422, "artifact.signature", "the signature is not by key 3fa19c0de4b77a51");
  const stored = artifact(kind, Number(version), { by: state.user, at: NOW_MS, bytes: text.length });
  state.updates.artifacts.unshift(stored);
  return stored;
}

function configuration(state, id) {
  const all = [...state.updates.rollouts.values()].flatMap((rollout) => rollout.orders);
  const orders = all.filter((order) => order.vehicle_id === id).reverse();
  const versions = KINDS.map((kind) => ({ kind, version: state.updates.told[kind] }));
  const told = (order) => state.updates.told[order.kind] === order.version;
  const trial = orders.find((order) => order.state === "accepted" && told(order));
  return {
    vehicle_id: id,
    is_capable: true,
    ...(state.empty ? {} : { told_at: stamp(NOW_MS - 120_000) }),
    versions: state.empty ? [] : versions,
    ...(trial ? { trial: { kind: trial.kind, version: trial.version } } : {}),
    ...(state.updates.returned ? { last_return: state.updates.returned } : {}),
    orders: state.empty ? [] : orders,
  };
}

export const UPDATE_ROUTES = [
  ["GET /artifacts", (state) => list(state.empty ? [] : state.updates.artifacts)],
  ["POST /artifacts", (state, _parts, _query, body) => upload(state, body)],
  [
    "GET /rollouts",
    (state) => list(state.empty ? [] : [...state.updates.rollouts.values()].reverse().map(summary)),
  ],
  ["POST /rollouts", (state, _parts, _query, body) => proposeRollout(state, state.user, body)],
  ["GET /rollouts/:id", (state, { id }) => view(find(state, id))],
  ["POST /rollouts/:id/confirm", (state, { id }, _query, { reason }) => confirm(state, id, reason)],
  ["POST /rollouts/:id/cancel", (state, { id }, _query, { reason }) => cancel(state, id, reason)],
  ["GET /vehicles/:id/configuration", (state, { id }) => configuration(state, id)],
];
