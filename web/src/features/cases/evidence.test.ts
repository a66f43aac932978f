import { describe, expect, it } from "vitest";
import type { EvidenceRequest } from "../../api/types";
import { isVoided } from "./evidence";

const at = (hour: number) => `2026-02-03T${String(hour).padStart(2, "0")}:00:00.000000Z`;
const request = (more: Partial<EvidenceRequest>): EvidenceRequest => ({
  id: "e",
  case_id: "c",
  vehicle_id: "v",
  event_id: "x",
  seconds_before: 1,
  seconds_after: 1,
  requested_by: "mara",
  requested_at: at(1),
  state: "expired",
  reasons: [],
  expires_at: at(12),
  steps: [{ at: at(1), state: "permitted", text: "" }],
  ...more,
});
const ended = (hour: number): Partial<EvidenceRequest> => ({
  steps: [
    { at: at(1), state: "sent", text: "" },
    { at: at(hour), state: "expired", text: "" },
  ],
});

describe("a request that expired", () => {
  it("was voided when its command had time left", () => {
    expect(isVoided(request(ended(11)))).toBe(true);
  });
  it("lapsed when its command had none left", () => {
    expect([12, 13].map((hour) => isVoided(request(ended(hour))))).toEqual([false, false]);
  });
  it("is not called voided once its capture came after all, or without an expiry", () => {
    expect(isVoided(request({ ...ended(11), state: "received" }))).toBe(false);
    expect(isVoided(request({ ...ended(11), expires_at: null }))).toBe(false);
  });
});
