/** What may be done about a vehicle's identity, and why not. Pure; the server checks again. */
import type { VehicleIdentity } from "../../api/types";
import type { MessageKey } from "../../lib/i18n";

export type IdentityAct = "suspend" | "resume" | "revoke";

export function mayChange(identity: VehicleIdentity | undefined, act: IdentityAct): true | MessageKey {
  if (!identity) return "reason.identity_unknown";
  const state = identity.state;
  if (act === "suspend") return state === "active" || "reason.not_active";
  if (act === "resume") return state === "suspended" || "reason.not_suspended";
  return state !== "revoked" || "reason.already_revoked";
}
