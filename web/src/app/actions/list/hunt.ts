import { always, type Action, type HuntHandle } from "../types";

const act = (
  id: string,
  keys: readonly string[] | undefined,
  run: (hunt: HuntHandle) => void,
  enabled: Action["enabled"] = always,
): Action => ({
  id: `hunt.${id}`,
  title: `action.hunt.${id}` as Action["title"],
  keys,
  scope: "hunt",
  permission: "engineer",
  risk: "none",
  enabled,
  run: (c) => c.hunt && run(c.hunt),
});

const hasRows: Action["enabled"] = (c) => (c.hunt?.rows ?? 0) > 0 || "reason.no_rows";

export const hunt: readonly Action[] = [
  act(
    "run",
    ["Ctrl+Enter"],
    (h) => h.run(),
    (c) => (c.hunt?.running ? "reason.running" : c.hunt?.blank ? "reason.no_query" : true),
  ),
  act(
    "cancel",
    undefined,
    (h) => h.cancel(),
    (c) => c.hunt?.running || "reason.not_running",
  ),
  {
    ...act("save", ["Ctrl+s"], () => {}),
    enabled: (c) => (c.hunt?.blank ? "reason.no_query" : true),
    run: (c) => c.hunt && c.shell.open({ kind: "save-query", query: c.hunt.query() }),
  },
  act("csv", undefined, (h) => h.download(), hasRows),
  act("edit", ["i"], (h) => h.edit()),
  act("complete", ["Ctrl+Space"], (h) => h.complete()),
  act("down", ["j"], (h) => h.move(1), hasRows),
  act("up", ["k"], (h) => h.move(-1), hasRows),
];
