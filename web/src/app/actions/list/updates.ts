import { mayCancel, mayConfirm } from "../../../features/configuration/updates";
import { always, type Action } from "../types";

export const updates: readonly Action[] = [
  {
    id: "updates.upload",
    title: "action.updates.upload",
    scope: "updates",
    permission: "engineer",
    risk: "confirm",
    enabled: always,
    run: (c) => c.shell.open({ kind: "upload-artifact" }),
  },
  {
    id: "updates.propose",
    title: "action.updates.propose",
    scope: "updates",
    permission: "engineer",
    risk: "second-person",
    enabled: always,
    run: (c) => c.shell.open({ kind: "propose-rollout", vehicle: c.updates?.vehicle }),
  },
  {
    id: "updates.confirm",
    title: "action.updates.confirm",
    scope: "updates",
    permission: "engineer",
    risk: "second-person",
    enabled: (c) => mayConfirm(c.updates?.rollout, c.user.name),
    run: (c) =>
      c.updates?.rollout &&
      c.shell.open({ kind: "decide-rollout", act: "confirm", rollout: c.updates.rollout }),
  },
  {
    id: "updates.cancel",
    title: "action.updates.cancel",
    scope: "updates",
    permission: "engineer",
    risk: "confirm",
    enabled: (c) => mayCancel(c.updates?.rollout),
    run: (c) =>
      c.updates?.rollout &&
      c.shell.open({ kind: "decide-rollout", act: "cancel", rollout: c.updates.rollout }),
  },
];
