/** What a vehicle's events tell about its detectors: which spoke how often, and what they said of themselves. Pure. */
import type { SecurityEvent } from "../../api/types";

export type DetectorAlarms = {
  detector: string;
  bus: number | undefined;
  /** Observations, folded repeats included. */
  count: number;
  last: SecurityEvent;
  /** Smallest p-value in millionths, where they have any. */
  ppm?: number;
};
export type DetectorFacts = { alarms: DetectorAlarms[]; states: SecurityEvent[] };

/** Events in which sensors speak of themselves: learned, set aside, degraded, out of room, or a heartbeat. */
const STATE = /^ids\.|\.(model_mismatch|warm_up_complete)$|(_degraded|[._]status|[._]heartbeat)$/;
export const isState = (event: SecurityEvent): boolean => STATE.test(event.event_type);

const fieldOf = (event: SecurityEvent, name: string): string | number | boolean | undefined =>
  event.fields[name]?.value;

/** Of state events only the newest of a kind, bus and part counts: it says how things stand. */
const stateKey = (event: SecurityEvent): string =>
  [
    event.event_type,
    event.bus ?? "",
    event.ecu ?? "",
    fieldOf(event, "component") ?? "",
    fieldOf(event, "detector") ?? "",
  ].join("|");

function count(into: Map<string, DetectorAlarms>, event: SecurityEvent, detector: string) {
  const bus = event.bus ?? undefined;
  const key = `${detector}|${bus ?? ""}`;
  const before = into.get(key);
  const ppm = fieldOf(event, "p_value_ppm");
  const least = [before?.ppm, ppm].filter((each) => typeof each === "number");
  into.set(key, {
    detector,
    bus,
    count: (before?.count ?? 0) + event.count,
    last: before && before.last.event_time >= event.event_time ? before.last : event,
    ...(least.length > 0 ? { ppm: Math.min(...least) } : {}),
  });
}

/** Returns detectors by alarms, most first, and the newest state events, newest first. */
export function detectorFacts(events: readonly SecurityEvent[]): DetectorFacts {
  const alarms = new Map<string, DetectorAlarms>();
  const states = new Map<string, SecurityEvent>();
  for (const event of events) {
    const detector = fieldOf(event, "detector");
    if (isState(event)) {
      const newest = states.get(stateKey(event));
      if (!newest || newest.event_time < event.event_time) states.set(stateKey(event), event);
    } else if (typeof detector === "string") count(alarms, event, detector);
  }
  return {
    alarms: [...alarms.values()].sort(
      (a, b) => b.count - a.count || (a.detector < b.detector ? -1 : 1) || (a.bus ?? -1) - (b.bus ?? -1),
    ),
    states: [...states.values()].sort((a, b) => (a.event_time < b.event_time ? 1 : -1)),
  };
}
