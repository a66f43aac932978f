import type { EvidenceRequest } from "../../api/types";

/** Returns whether a request ended before its command could lapse, which only the emergency stop does. */
export function isVoided({ state, steps, expires_at }: EvidenceRequest): boolean {
  const ended = steps.findLast((step) => step.state === "expired");
  return state === "expired" && !!ended && !!expires_at && Date.parse(ended.at) < Date.parse(expires_at);
}
