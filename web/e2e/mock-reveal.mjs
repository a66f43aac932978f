// Requests to show a VIN, with the rules of the server.
import { Refusal } from "./mock-base.mjs";
import { NOW_MS, stamp } from "./mock-data.mjs";

const DAY = 86_400_000;
const VIN = "WVWZZZ1JZXW000001";

const found = (state, id) => {
  const request = state.reveals.find((each) => each.id === id);
  if (!request) throw new Refusal(404, "not_found", "the request does not exist");
  return request;
};
const needs = (holds, text) => {
  if (!holds) throw new Refusal(409, "conflict", text);
};

export const REVEAL_ROUTES = [
  ["GET /reveal-requests", (state) => (state.empty ? [] : state.reveals)],
  [
    "POST /vehicles/:id/reveal",
    (state, { id }, _query, { reason }) => {
      const request = {
        id: `reveal-${state.reveals.length + 1}`,
        vehicle_id: id,
        reason,
        state: "waiting",
        requested_by: state.user,
        requested_at: stamp(NOW_MS),
        expires_at: stamp(NOW_MS + DAY),
      };
      state.reveals.unshift(request);
      return request;
    },
  ],
  [
    "POST /reveal-requests/:id/approve",
    (state, { id }) => {
      const request = found(state, id);
      needs(request.requested_by !== state.user, "who asked cannot agree");
      needs(request.state === "waiting", `the request is ${request.state}`);
      return Object.assign(request, { state: "approved", approved_by: state.user, approved_at: stamp(NOW_MS) });
    },
  ],
  [
    "POST /reveal-requests/:id/open",
    (state, { id }) => {
      const request = found(state, id);
      needs(request.requested_by === state.user, "only who asked may open it");
      needs(request.state === "approved", `the request is ${request.state}`);
      Object.assign(request, { state: "opened", opened_at: stamp(NOW_MS) });
      return { vehicle_id: request.vehicle_id, vin: VIN };
    },
  ],
];
