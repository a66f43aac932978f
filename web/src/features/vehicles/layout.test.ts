import { describe, expect, it } from "vitest";
import type { Bus, Ecu } from "../../api/types";
import { lanes } from "./layout";

const bus = (bus_id: number, more: Partial<Bus> = {}): Bus => ({
  bus_id,
  name: `b${bus_id}`,
  kind: "can",
  events_24h: 0,
  ...more,
});
const ecu = (ecu_id: number, on: number | null, more: Partial<Ecu> = {}): Ecu => ({
  ecu_id,
  name: `e${ecu_id}`,
  bus: on,
  events_24h: 0,
  ...more,
});

describe("the topology", () => {
  it("puts the worst bus and the worst ECU first", () => {
    const all = lanes({
      buses: [bus(0, { events_24h: 900 }), bus(1), bus(2, { worst_severity: "low" })],
      ecus: [ecu(1, 1), ecu(2, 1, { worst_severity: "critical" }), ecu(3, 2)],
    });
    expect(all.map((lane) => lane.bus?.bus_id)).toEqual([1, 2, 0]);
    expect(all[0]?.ecus.map((each) => each.ecu_id)).toEqual([2, 1]);
  });

  it("loses no ECU: those on an unknown bus come last", () => {
    const all = lanes({ buses: [bus(0)], ecus: [ecu(1, 7), ecu(2, 0), ecu(3, null)] });
    expect(all.map((lane) => [lane.bus?.bus_id, lane.ecus.map((each) => each.ecu_id)])).toEqual([
      [0, [2]],
      [undefined, [1, 3]],
    ]);
  });

  it("does not depend on the order of the answer", () => {
    const buses = [bus(0), bus(1), bus(2)];
    const ecus = [ecu(1, 0), ecu(2, 0), ecu(3, 1)];
    expect(lanes({ buses: buses.toReversed(), ecus: ecus.toReversed() })).toEqual(lanes({ buses, ecus }));
  });
});
