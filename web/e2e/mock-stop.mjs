// The emergency stop of the stand-in, with the rules of the server.
import { push, Refusal } from "./mock-base.mjs";
import { NOW_MS, stamp } from "./mock-data.mjs";

const refuse = (message) => {
  throw new Refusal(409, "conflict", message);
};

/** Ends every command that no vehicle has answered. */
function voidWaiting(state) {
  for (const item of state.cases.values())
    for (const request of item.evidence)
      if (request.state === "permitted" || request.state === "sent") {
        const step = { at: stamp(NOW_MS), state: "expired", text: "The emergency stop voided the command." };
        Object.assign(request, { state: "expired", steps: [...request.steps, step] });
        push(state, "evidence", request);
      }
}

export function setStop(state, by, reason) {
  if (state.stop.is_set) delete state.stop.release;
  else state.stop = { is_set: true, set_by: by, set_at: stamp(NOW_MS), reason };
  voidWaiting(state);
  push(state, "stop", state.stop);
  return state.stop;
}

export function releaseStop(state, by, reason) {
  if (!state.stop.is_set) refuse("the emergency stop is not set");
  if (!state.stop.release) state.stop.release = { by, at: stamp(NOW_MS), reason };
  else if (state.stop.release.by === by) refuse("another person must confirm the release");
  else state.stop = { is_set: false };
  push(state, "stop", state.stop);
  return state.stop;
}

export const STOP_ROUTES = [
  ["GET /stop", (state) => state.stop],
  ["POST /stop", (state, _parts, _query, { reason }) => setStop(state, state.user, reason)],
  ["POST /stop/release", (state, _parts, _query, { reason }) => releaseStop(state, state.user, reason)],
];
