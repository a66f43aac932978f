import { describe, expect, it } from "vitest";
import type { SecurityEvent } from "../../api/types";
import { detectorFacts } from "./detectors";

const at = (minute: number) => `2026-02-03T04:${String(minute).padStart(2, "0")}:00.000000Z`;
const event = (
  event_type: string,
  minute: number,
  fields: Record<string, string | number> = {},
  more: Partial<SecurityEvent> = {},
): SecurityEvent => ({
  id: `${event_type}-${minute}`,
  event_type,
  title: event_type,
  severity: "low",
  lane: "deferred",
  vehicle_id: "v",
  event_time: at(minute),
  event_time_error_us: 1,
  ingest_time: at(minute),
  late: false,
  count: 1,
  bus: 0,
  fields: Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, { value }])),
  ...more,
});

describe("a vehicle's detectors", () => {
  it("are counted apart by bus, with folded repeats, newest alarm and smallest p-value", () => {
    const { alarms } = detectorFacts([
      event("can.cycle_time", 3, { detector: "cycle", p_value_ppm: 40 }, { count: 12 }),
      event("can.cycle_time", 5, { detector: "cycle", p_value_ppm: 900 }),
      event("can.cycle_time", 4, { detector: "cycle" }, { bus: 1 }),
      event("can.flood", 6, { detector: "flood" }, { bus: null, count: 2 }),
      event("boot.integrity_failure", 7),
    ]);
    expect(
      alarms.map(({ detector, bus, count, ppm, last }) => [detector, bus, count, ppm, last.event_time]),
    ).toEqual([
      ["cycle", 0, 13, 40, at(5)],
      ["flood", undefined, 2, undefined, at(6)],
      ["cycle", 1, 1, undefined, at(4)],
    ]);
  });

  it("say how they stand by their newest words, and those are no alarms", () => {
    const { alarms, states } = detectorFacts([
      event("can.warm_up_complete", 1),
      event("can.warm_up_complete", 9),
      event("can.warm_up_complete", 2, {}, { bus: 1 }),
      event("can.model_mismatch", 3, { detector: "model" }),
      event("ids.traffic_limited", 4, { dropped: 7 }),
      event("host.sensor_degraded", 5, { component: "fanotify" }),
      event("host.sensor_degraded", 6, { component: "netlink" }),
    ]);
    expect(alarms).toEqual([]);
    expect(states.map((each) => [each.event_type, each.event_time, each.bus])).toEqual([
      ["can.warm_up_complete", at(9), 0],
      ["host.sensor_degraded", at(6), 0],
      ["host.sensor_degraded", at(5), 0],
      ["ids.traffic_limited", at(4), 0],
      ["can.model_mismatch", at(3), 0],
      ["can.warm_up_complete", at(2), 1],
    ]);
  });

  it("are none where no event names one", () => {
    expect(detectorFacts([event("diag.ecu_reset", 1)])).toEqual({ alarms: [], states: [] });
  });
});
