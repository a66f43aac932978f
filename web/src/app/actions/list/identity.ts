import { mayChange } from "../../../features/vehicles/identity";
import type { Action } from "../types";

export const identity: readonly Action[] = [
  {
    id: "vehicle.suspend",
    title: "action.vehicle.suspend",
    scope: "vehicle",
    permission: "triage",
    risk: "confirm",
    enabled: (c) => mayChange(c.identity, "suspend"),
    run: (c) => c.identity && c.shell.open({ kind: "identity", act: "suspend", id: c.identity.vehicle_id }),
  },
  {
    id: "vehicle.resume",
    title: "action.vehicle.resume",
    scope: "vehicle",
    permission: "engineer",
    risk: "confirm",
    enabled: (c) => mayChange(c.identity, "resume"),
    run: (c) => c.identity && c.shell.open({ kind: "identity", act: "resume", id: c.identity.vehicle_id }),
  },
  {
    id: "vehicle.revoke",
    title: "action.vehicle.revoke",
    scope: "vehicle",
    permission: "admin",
    risk: "confirm",
    enabled: (c) => mayChange(c.identity, "revoke"),
    run: (c) => c.identity && c.shell.open({ kind: "identity", act: "revoke", id: c.identity.vehicle_id }),
  },
];
