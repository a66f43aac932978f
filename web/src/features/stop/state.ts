/** What may be done about the emergency stop, and why not. Pure; the server checks again. */
import type { EmergencyStop } from "../../api/types";
import type { MessageKey } from "../../lib/i18n";

export type Verdict = true | MessageKey;

/** Setting is refused only where nothing would change; on an unknown state it is the safe side and stays possible. */
export const maySet = (stop: EmergencyStop | undefined): Verdict =>
  !stop?.is_set || stop.release ? true : "reason.already_stopped";

export function mayPropose(stop: EmergencyStop | undefined): Verdict {
  if (!stop) return "reason.stop_unknown";
  if (!stop.is_set) return "reason.not_stopped";
  return stop.release ? "reason.release_proposed" : true;
}

/** The release needs a second person. */
export function mayConfirm(stop: EmergencyStop | undefined, user: string): Verdict {
  if (!stop) return "reason.stop_unknown";
  if (!stop.is_set) return "reason.not_stopped";
  if (!stop.release) return "reason.no_proposal";
  return stop.release.by === user ? "reason.second_person" : true;
}
