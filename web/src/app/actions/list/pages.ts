import { always, type Action, type Context, type VehicleHandle } from "../types";

/** While the pane is open, the cursor takes it along. */
const neighbour = (step: number) => (c: Context) => c.queue?.move(step);

const alertActs: readonly Action[] = [
  {
    id: "alert.previous",
    title: "action.alert.previous",
    keys: ["["],
    scope: "alert",
    permission: "read",
    risk: "none",
    enabled: (c) => c.queue !== undefined || "reason.elsewhere",
    run: neighbour(-1),
  },
  {
    id: "alert.next",
    title: "action.alert.next",
    keys: ["]"],
    scope: "alert",
    permission: "read",
    risk: "none",
    enabled: (c) => c.queue !== undefined || "reason.elsewhere",
    run: neighbour(1),
  },
  {
    id: "alert.full",
    title: "action.alert.full",
    keys: ["o"],
    scope: "alert",
    permission: "read",
    risk: "none",
    enabled: (c) => c.alert?.full === false || "reason.already_here",
    run: (c) => c.alert && c.shell.go(`/alerts/${encodeURIComponent(c.alert.alert.id)}`),
  },
  {
    id: "alert.evidence",
    title: "action.evidence",
    keys: ["e"],
    scope: "alert",
    permission: "triage",
    risk: "confirm",
    enabled: (c) => c.alert?.event !== undefined || "reason.no_event",
    run: (c) => {
      const event = c.alert?.event;
      if (!c.alert || !event) return;
      c.shell.open({
        kind: "request-evidence",
        target: {
          vehicleId: event.vehicle_id,
          eventId: event.id,
          title: event.title,
          caseId: c.alert.alert.case_id ?? undefined,
        },
      });
    },
  },
];

const caseActs: readonly Action[] = [
  {
    id: "case.note",
    title: "action.case.note",
    keys: ["n"],
    scope: "case",
    permission: "triage",
    risk: "none",
    enabled: always,
    run: (c) => c.case && c.shell.open({ kind: "case-note", id: c.case.case.id }),
  },
  {
    id: "case.close",
    title: "action.case.close",
    keys: ["c"],
    scope: "case",
    permission: "triage",
    risk: "confirm",
    enabled: (c) => c.case?.case.status !== "closed" || "reason.case_closed",
    run: (c) => c.case && c.shell.open({ kind: "close-case", id: c.case.case.id }),
  },
];

const tab = (name: Parameters<VehicleHandle["show"]>[0], key: string, title: Action["title"]): Action => ({
  id: `vehicle.${name}`,
  title,
  keys: [key],
  scope: "vehicle",
  permission: "read",
  risk: "none",
  enabled: always,
  run: (c) => c.vehicle?.show(name),
});

const vehicleActs: readonly Action[] = [
  tab("topology", "1", "action.vehicle.topology"),
  tab("timeline", "2", "action.vehicle.timeline"),
  tab("alerts", "3", "action.vehicle.alerts"),
  tab("health", "4", "action.vehicle.health"),
  tab("completeness", "5", "action.vehicle.completeness"),
  tab("configuration", "6", "action.vehicle.configuration"),
  {
    id: "vehicle.evidence",
    title: "action.evidence",
    keys: ["e"],
    scope: "vehicle",
    permission: "triage",
    risk: "confirm",
    enabled: (c) => c.vehicle?.event !== undefined || "reason.no_event",
    run: (c) => {
      const event = c.vehicle?.event;
      if (event)
        c.shell.open({
          kind: "request-evidence",
          target: { vehicleId: event.vehicle_id, eventId: event.id, title: event.title },
        });
    },
  },
];

const fleetActs: readonly Action[] = [
  {
    id: "fleet.zoom_in",
    title: "action.fleet.zoom_in",
    keys: ["+", "="],
    scope: "fleet",
    permission: "read",
    risk: "none",
    enabled: always,
    run: (c) => c.fleet?.zoom(1.5),
  },
  {
    id: "fleet.zoom_out",
    title: "action.fleet.zoom_out",
    keys: ["-"],
    scope: "fleet",
    permission: "read",
    risk: "none",
    enabled: always,
    run: (c) => c.fleet?.zoom(1 / 1.5),
  },
  {
    id: "fleet.reset",
    title: "action.fleet.reset",
    keys: ["0"],
    scope: "fleet",
    permission: "read",
    risk: "none",
    enabled: always,
    run: (c) => c.fleet?.reset(),
  },
  {
    id: "fleet.layer",
    title: "action.fleet.layer",
    keys: ["h"],
    scope: "fleet",
    permission: "read",
    risk: "none",
    enabled: always,
    run: (c) => c.fleet?.nextLayer(),
  },
];

export const pages: readonly Action[] = [...alertActs, ...caseActs, ...vehicleActs, ...fleetActs];
