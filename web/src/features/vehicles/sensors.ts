/** What a sensor's statement of itself means. Pure. */
import type { SensorState } from "../../api/types";

/** Whether a sensor raised more alarms than its budget allows for the span; a span below an hour counts as one. */
export const isOverBudget = (state: SensorState): boolean =>
  state.alarm_budget_per_hour != null &&
  state.alarms > state.alarm_budget_per_hour * Math.max(1, state.span_s / 3600);
