import type { Action } from "../types";

export const quarantine: readonly Action[] = [
  {
    id: "quarantine.replay",
    title: "action.quarantine.replay",
    keys: ["t"],
    scope: "quarantine",
    permission: "engineer",
    risk: "confirm",
    enabled: (c) => (c.quarantine?.entries ?? 0) > 0 || "reason.nothing_open",
    run: (c) => c.quarantine && c.shell.open({ kind: "replay-quarantine", ...c.quarantine }),
  },
];
