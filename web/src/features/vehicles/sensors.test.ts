import { expect, test } from "vitest";
import type { SensorState } from "../../api/types";
import { accountOf, detectorOf, inOrder, isOverBudget, isService } from "./sensors";

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

test("an account is within, spent or demoted, and a sensor without one has none", () => {
  expect(accountOf(state(1, 60))).toBe(null);
  expect(accountOf({ ...state(1, 60), budget_left: 2 })).toBe("within");
  expect(accountOf({ ...state(1, 60), budget_left: 0 })).toBe("spent");
  expect(accountOf({ ...state(1, 60), budget_left: 2, demoted: true })).toBe("demoted");
});

test("a detector with an account is told from a sensor whose name has a dot", () => {
  expect(detectorOf({ ...state(1, 60), sensor: "can.payload", budget_left: 1 })).toBe("payload");
  expect(detectorOf({ ...state(1, 60), sensor: "host.files" })).toBe(null);
  expect(detectorOf(state(1, 60))).toBe(null);
});

test("detectors stand behind their sensor, bus by bus", () => {
  const of = (sensor: string, bus_id: number) => ({ ...state(1, 60), sensor, bus_id });
  const mixed = [of("can.stuck", 0), of("can", 1), of("can", 0), of("can.payload", 0)];
  const names = inOrder(mixed).map(({ sensor, bus_id }) => `${bus_id} ${sensor}`);
  expect(names).toEqual(["0 can", "0 can.payload", "0 can.stuck", "1 can"]);
});

test("only work on the vehicle is service", () => {
  expect(["workshop", "flashing"].every(isService)).toBe(true);
  expect(["driving", "charging", "sleep", undefined, null].some(isService)).toBe(false);
});
