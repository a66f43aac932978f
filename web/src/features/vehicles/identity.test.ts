import { describe, expect, it } from "vitest";
import type { VehicleIdentity } from "../../api/types";
import { mayChange } from "./identity";

const of = (state: VehicleIdentity["state"]): VehicleIdentity => ({
  vehicle_id: "00",
  state,
  certificates: [],
  batch_keys: [],
  log: [],
});

describe("mayChange", () => {
  it("offers what leads to another state and says why the rest does not", () => {
    expect(mayChange(of("active"), "suspend")).toBe(true);
    expect(mayChange(of("active"), "resume")).toBe("reason.not_suspended");
    expect(mayChange(of("suspended"), "resume")).toBe(true);
    expect(mayChange(of("suspended"), "suspend")).toBe("reason.not_active");
    expect(mayChange(of("retired"), "revoke")).toBe(true);
    expect(mayChange(of("revoked"), "revoke")).toBe("reason.already_revoked");
    expect(mayChange(of("revoked"), "resume")).toBe("reason.not_suspended");
    expect(mayChange(undefined, "suspend")).toBe("reason.identity_unknown");
  });
});
