import { describe, expect, it } from "vitest";
import type { RevealRequest } from "../../api/types";
import { mayReveal, requestFor, type RevealHandle } from "./reveal";

const request = (id: string, state: RevealRequest["state"], by: string): RevealRequest => ({
  id,
  vehicle_id: "00",
  reason: "recall",
  state,
  requested_by: by,
  requested_at: "2026-11-23T10:00:00Z",
  expires_at: "2026-11-24T10:00:00Z",
});
const of = (...requests: RevealRequest[]): RevealHandle => ({ id: "00", requests });

describe("mayReveal", () => {
  it("lets nobody agree to their own request, and nobody open another's", () => {
    expect(mayReveal(undefined, "ask", "mara")).toBe("reason.requests_unknown");
    expect(mayReveal(of(), "ask", "mara")).toBe(true);
    expect(mayReveal(of(), "approve", "mara")).toBe("reason.nothing_asked");
    expect(mayReveal(of(request("a", "waiting", "mara")), "approve", "mara")).toBe("reason.own_request");
    expect(mayReveal(of(request("a", "waiting", "jon")), "approve", "mara")).toBe(true);
    expect(mayReveal(of(request("a", "approved", "jon")), "open", "mara")).toBe("reason.nothing_approved");
    expect(mayReveal(of(request("a", "approved", "mara")), "open", "mara")).toBe(true);
  });

  it("is about a request that is neither used nor lapsed", () => {
    const done = [request("d", "opened", "mara"), request("c", "lapsed", "jon")];
    expect(mayReveal(of(...done), "open", "mara")).toBe("reason.nothing_approved");
    expect(mayReveal(of(...done), "approve", "mara")).toBe("reason.nothing_asked");
    const two = of(...done, request("b", "waiting", "jon"), request("a", "waiting", "eve"));
    expect(requestFor(two, "approve", "mara")?.id).toBe("a");
    expect(requestFor(two, "ask", "mara")).toBeUndefined();
  });
});
