// Identities of the stand-in's vehicles, with the rules of the server.
import { Refusal } from "./mock-base.mjs";
import { NOW_MS, stamp } from "./mock-data.mjs";

const DAY = 86_400_000;
/** From where each act may start, and where it leads. */
const ACTS = {
  suspend: { from: ["active"], to: "suspended" },
  resume: { from: ["suspended"], to: "active" },
  revoke: { from: ["active", "suspended", "retired"], to: "revoked" },
};

const certificate = (serial, generation, issued, more = {}) => ({
  serial,
  suite: generation === 1 ? "ed25519" : "ecdsa_p256",
  generation,
  issued_at: stamp(issued),
  not_before: stamp(issued - 300_000),
  not_after: stamp(issued + 90 * DAY),
  ...more,
});

const fresh = (id) => ({
  vehicle_id: id,
  state: "active",
  batch_keys: [{ fingerprint: "5e".repeat(32), from_epoch: 41, registered_at: stamp(NOW_MS - 9 * DAY) }],
  certificates: [
    certificate("4c01d2a97e31b8f0", 2, NOW_MS - 9 * DAY),
    certificate("11ab03c94477fe10", 1, NOW_MS - 80 * DAY, {
      revoked_at: stamp(NOW_MS - 9 * DAY),
      revoked_for: "superseded",
    }),
  ],
  log: [
    ["renew", "vehicle", "done", "4c01d2a97e31b8f0", 9 * DAY, 1],
    ["renew", "vehicle", "too_early", "ecdsa_p256", 30 * DAY, 12],
    ["enrol", "vehicle", "done", "11ab03c94477fe10", 80 * DAY, 1],
  ].map(([action, actor, outcome, detail, ago, times]) => ({
    action,
    actor,
    outcome,
    detail,
    times,
    vehicle_id: id,
    first_at: stamp(NOW_MS - ago),
    last_at: stamp(NOW_MS - ago),
  })),
});

function identity(state, id) {
  if (state.empty) return { ...fresh(id), batch_keys: [], certificates: [], log: [] };
  if (!state.identities.has(id)) state.identities.set(id, fresh(id));
  return state.identities.get(id);
}

function change(state, id, act, reason) {
  const item = identity(state, id);
  const { from, to } = ACTS[act];
  if (!from.includes(item.state)) throw new Refusal(409, "conflict", `the vehicle is ${item.state}`);
  const at = stamp(NOW_MS);
  Object.assign(item, { state: to, reason, changed_by: state.user, changed_at: at });
  const line = { action: act, actor: state.user, outcome: "done", detail: reason, times: 1 };
  item.log = [{ ...line, vehicle_id: id, first_at: at, last_at: at }, ...item.log];
  return item;
}

export const IDENTITY_ROUTES = [
  ["GET /vehicles/:id/identity", (state, { id }) => identity(state, id)],
  ...Object.keys(ACTS).map((act) => [
    `POST /vehicles/:id/${act}`,
    (state, { id }, _query, { reason }) => change(state, id, act, reason),
  ]),
];
