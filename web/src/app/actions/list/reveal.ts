import { mayReveal, requestFor, type RevealAct } from "../../../features/vehicles/reveal";
import type { Action, Context } from "../types";

const open = (c: Context, act: RevealAct) => {
  if (!c.reveal) return;
  const request = requestFor(c.reveal, act, c.user.name);
  c.shell.open({ kind: "reveal", act, id: c.reveal.id, request });
};

const act = (name: RevealAct, title: Action["title"]): Action => ({
  id: `vehicle.vin.${name}`,
  title,
  scope: "vehicle",
  permission: "engineer",
  risk: "second-person",
  enabled: (c) => mayReveal(c.reveal, name, c.user.name),
  run: (c) => open(c, name),
});

export const reveal: readonly Action[] = [
  act("ask", "action.vehicle.vin.ask"),
  act("approve", "action.vehicle.vin.approve"),
  act("open", "action.vehicle.vin.open"),
];
