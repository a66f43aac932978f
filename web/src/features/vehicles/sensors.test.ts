import { expect, test } from "vitest";
import type { SensorState } from "../../api/types";
import { isOverBudget } from "./sensors";

const state = (alarms: number, span_s: number, budget?: number): SensorState => ({
  sensor: "can",
  mode: "model",
  frames: 1,
  alarms,
  dropped: 0,
  span_s,
  as_of: "2026-01-01T00:00:00.000000Z",
  ...(budget === undefined ? {} : { alarm_budget_per_hour: budget }),
});

test("a budget is for an hour, and a shorter span has a whole one", () => {
  expect(isOverBudget(state(1, 60, 1))).toBe(false);
  expect(isOverBudget(state(2, 60, 1))).toBe(true);
  expect(isOverBudget(state(2, 7200, 1))).toBe(false);
  expect(isOverBudget(state(3, 7200, 1))).toBe(true);
  expect(isOverBudget(state(99, 60))).toBe(false);
});
