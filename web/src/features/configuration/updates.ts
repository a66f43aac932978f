/** What may be done about a rollout, and why not. Pure; the server checks again. */
import type { RolloutSummary, UpdateState } from "../../api/types";
import type { MessageKey } from "../../lib/i18n";

export type RolloutAct = "confirm" | "cancel";

const holds = (rollout: RolloutSummary, states: readonly UpdateState[]): boolean =>
  rollout.states.some(({ state, orders }) => orders > 0 && states.includes(state));

/** The one who proposed cannot be the second person. */
export function mayConfirm(rollout: RolloutSummary | undefined, user: string): true | MessageKey {
  if (!rollout) return "reason.no_rollout";
  if (!holds(rollout, ["proposed"])) return "reason.not_proposed";
  return rollout.proposed_by === user ? "reason.second_person" : true;
}

/** What was sent cannot be called back. */
export function mayCancel(rollout: RolloutSummary | undefined): true | MessageKey {
  if (!rollout) return "reason.no_rollout";
  return holds(rollout, ["proposed", "confirmed", "permitted"]) || "reason.all_sent";
}

/** Reads ids that somebody pasted, one after the other, however they are parted. */
export const readVehicles = (text: string): string[] => [
  ...new Set(text.split(/[\s,;]+/).filter((each) => each !== "")),
];
