/** What a sensor's statement of itself means. Pure. */
import type { SensorState } from "../../api/types";

/** Whether a sensor raised more alarms than its budget allows for the span; a span below an hour counts as one. */
export const isOverBudget = (state: SensorState): boolean =>
  state.alarm_budget_per_hour != null &&
  state.alarms > state.alarm_budget_per_hour * Math.max(1, state.span_s / 3600);

/** Where a detector's account stands; null for a sensor that has none. */
export type Account = "within" | "spent" | "demoted";

export const accountOf = (state: SensorState): Account | null => {
  if (state.demoted) return "demoted";
  if (state.budget_left == null) return null;
  return state.budget_left === 0 ? "spent" : "within";
};

/** The detector of a sensor that a statement is about (`can.payload`: payload), or null if it is the whole sensor. */
export const detectorOf = (state: SensorState): string | null => {
  const dot = state.sensor.indexOf(".");
  return dot < 0 || state.budget_left == null ? null : state.sensor.slice(dot + 1);
};

/** Modes in which detectors judge less because somebody works on the vehicle: an analyst compares with the orders. */
export const isService = (mode: string | null | undefined): boolean =>
  mode === "workshop" || mode === "flashing";

/** Sensors with their detectors behind them, bus by bus; a detector whose sensor is silent stands for itself. */
export const inOrder = (states: readonly SensorState[]): SensorState[] =>
  [...states].sort(
    (a, b) => (a.bus_id ?? -1) - (b.bus_id ?? -1) || (a.sensor < b.sensor ? -1 : a.sensor > b.sensor ? 1 : 0),
  );
