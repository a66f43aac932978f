/** What may be done about the VIN of a vehicle, and why not. Pure; the server checks again. */
import type { RevealRequest } from "../../api/types";
import type { MessageKey } from "../../lib/i18n";

export type RevealAct = "ask" | "approve" | "open";
/** Requests of the vehicle on screen, newest first. */
export type RevealHandle = { id: string; requests: readonly RevealRequest[] };

/** Returns the request that an act of `user` is about: the oldest one to agree to, the newest one to open. */
export function requestFor(
  handle: RevealHandle | undefined,
  act: RevealAct,
  user: string,
): RevealRequest | undefined {
  if (act === "ask") return undefined;
  const requests = handle?.requests ?? [];
  return act === "approve"
    ? requests.findLast((each) => each.state === "waiting" && each.requested_by !== user)
    : requests.find((each) => each.state === "approved" && each.requested_by === user);
}

export function mayReveal(
  handle: RevealHandle | undefined,
  act: RevealAct,
  user: string,
): true | MessageKey {
  if (!handle) return "reason.requests_unknown";
  if (act === "ask" || requestFor(handle, act, user)) return true;
  if (act === "open") return "reason.nothing_approved";
  const own = handle.requests.some((each) => each.state === "waiting");
  return own ? "reason.own_request" : "reason.nothing_asked";
}
