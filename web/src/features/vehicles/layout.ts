/** Orders a vehicle for the topology: one lane a bus, worst first. Pure, so the same vehicle always looks the same. */
import type { Bus, Ecu, Severity, Vehicle } from "../../api/types";
import { SEVERITIES } from "../alerts/query";

export type Lane = { bus: Bus | undefined; ecus: Ecu[] };

const badness = (severity: Severity | null | undefined): number =>
  severity ? SEVERITIES.length - SEVERITIES.indexOf(severity) : 0;

const byEcu = (a: Ecu, b: Ecu): number =>
  badness(b.worst_severity) - badness(a.worst_severity) || b.events_24h - a.events_24h || a.ecu_id - b.ecu_id;

const laneBadness = (lane: Lane): number =>
  Math.max(badness(lane.bus?.worst_severity), ...lane.ecus.map((ecu) => badness(ecu.worst_severity)), 0);

/** Returns the lanes; ECUs whose bus is not known come last, in a lane without a bus. */
export function lanes({ buses, ecus }: Pick<Vehicle, "buses" | "ecus">): Lane[] {
  const known = new Set(buses.map((bus) => bus.bus_id));
  const ordered = buses
    .map((bus): Lane => ({ bus, ecus: ecus.filter((ecu) => ecu.bus === bus.bus_id).sort(byEcu) }))
    .sort(
      (a, b) =>
        laneBadness(b) - laneBadness(a) ||
        (b.bus?.events_24h ?? 0) - (a.bus?.events_24h ?? 0) ||
        (a.bus?.bus_id ?? 0) - (b.bus?.bus_id ?? 0),
    );
  const stray = ecus.filter((ecu) => ecu.bus == null || !known.has(ecu.bus)).sort(byEcu);
  return stray.length > 0 ? [...ordered, { bus: undefined, ecus: stray }] : ordered;
}
