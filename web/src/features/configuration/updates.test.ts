import { describe, expect, it } from "vitest";
import type { RolloutSummary, UpdateState } from "../../api/types";
import { mayCancel, mayConfirm, readVehicles } from "./updates";

const rollout = (...states: UpdateState[]): RolloutSummary => ({
  id: "rollout-1",
  sha256: "00",
  kind: "policy",
  version: 1,
  reason: "why",
  proposed_by: "mara",
  proposed_at: "2026-02-03T04:05:06.000000Z",
  lapses_at: "2026-02-10T04:05:06.000000Z",
  vehicles: states.length,
  states: states.map((state) => ({ state, orders: 1 })),
});

describe("a rollout", () => {
  it("is confirmed by another person than the one who proposed it, once", () => {
    expect(mayConfirm(rollout("proposed"), "jon")).toBe(true);
    expect(mayConfirm(rollout("proposed"), "mara")).toBe("reason.second_person");
    expect(mayConfirm(rollout("permitted"), "jon")).toBe("reason.not_proposed");
    expect(mayConfirm(undefined, "jon")).toBe("reason.no_rollout");
  });

  it("is withdrawn as far as nothing was sent", () => {
    expect(mayCancel(rollout("done", "permitted"))).toBe(true);
    expect(mayCancel(rollout("sent", "accepted"))).toBe("reason.all_sent");
    expect(mayCancel(undefined)).toBe("reason.no_rollout");
  });

  it("takes vehicles however they were pasted, each once", () => {
    expect(readVehicles(" a, b\nb;\tc ")).toEqual(["a", "b", "c"]);
    expect(readVehicles(" \n")).toEqual([]);
  });
});
