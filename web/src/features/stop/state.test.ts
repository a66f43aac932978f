import { describe, expect, it } from "vitest";
import type { EmergencyStop } from "../../api/types";
import { mayConfirm, mayPropose, maySet } from "./state";

const AT = "2026-02-03T04:05:06.000000Z";
const open: EmergencyStop = { is_set: false };
const set: EmergencyStop = { is_set: true, set_by: "mara", set_at: AT, reason: "odd commands" };
const proposed: EmergencyStop = { ...set, release: { by: "jon", at: AT, reason: "found it" } };

describe("the emergency stop", () => {
  it("can be set unless it is set, and again to discard a proposed release", () => {
    expect([open, set, proposed].map(maySet)).toEqual([true, "reason.already_stopped", true]);
  });

  it("can be set even while nobody knows its state", () => {
    expect(maySet(undefined)).toBe(true);
    expect([mayPropose(undefined), mayConfirm(undefined, "mara")]).toEqual([
      "reason.stop_unknown",
      "reason.stop_unknown",
    ]);
  });

  it("has one proposed release at a time", () => {
    expect([open, set, proposed].map(mayPropose)).toEqual([
      "reason.not_stopped",
      true,
      "reason.release_proposed",
    ]);
  });

  it("is released by a second person only, who may be the one that set it", () => {
    expect([open, set, proposed].map((stop) => mayConfirm(stop, "mara"))).toEqual([
      "reason.not_stopped",
      "reason.no_proposal",
      true,
    ]);
    expect(mayConfirm(proposed, "jon")).toBe("reason.second_person");
  });
});
