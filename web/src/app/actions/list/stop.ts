import { mayConfirm, mayPropose, maySet } from "../../../features/stop/state";
import type { Action } from "../types";

export const stop: readonly Action[] = [
  {
    id: "stop.set",
    title: "action.stop.set",
    keys: ["!"],
    scope: "global",
    permission: "triage",
    risk: "confirm",
    enabled: (c) => maySet(c.stop),
    run: (c) => c.shell.open({ kind: "stop", act: "set" }),
  },
  {
    id: "stop.propose",
    title: "action.stop.propose",
    scope: "global",
    permission: "engineer",
    risk: "second-person",
    enabled: (c) => mayPropose(c.stop),
    run: (c) => c.shell.open({ kind: "stop", act: "propose" }),
  },
  {
    id: "stop.confirm",
    title: "action.stop.confirm",
    scope: "global",
    permission: "engineer",
    risk: "second-person",
    enabled: (c) => mayConfirm(c.stop, c.user.name),
    run: (c) => c.shell.open({ kind: "stop", act: "confirm" }),
  },
];
