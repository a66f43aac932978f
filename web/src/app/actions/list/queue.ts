import { always, type Action, type QueueHandle } from "../types";

const act = (
  id: string,
  title: Action["title"],
  keys: readonly string[],
  run: (queue: QueueHandle) => void,
  enabled: Action["enabled"] = always,
): Action => ({
  id: `queue.${id}`,
  title,
  keys,
  scope: "queue",
  permission: "read",
  risk: "none",
  enabled,
  run: (c) => c.queue && run(c.queue),
});

export const queue: readonly Action[] = [
  act("down", "action.queue.down", ["j", "ArrowDown"], (q) => q.move(1)),
  act("up", "action.queue.up", ["k", "ArrowUp"], (q) => q.move(-1)),
  act("page_down", "action.queue.page_down", ["PageDown"], (q) => q.move(20)),
  act("page_up", "action.queue.page_up", ["PageUp"], (q) => q.move(-20)),
  act("first", "action.queue.first", ["Home", "g g"], (q) => q.edge("first")),
  act("last", "action.queue.last", ["End", "Shift+g"], (q) => q.edge("last")),
  act(
    "open",
    "action.queue.open",
    ["Enter"],
    (q) => q.openCursor(),
    (c) => c.queue?.cursor !== undefined || "reason.no_row",
  ),
  act(
    "select",
    "action.queue.select",
    ["x"],
    (q) => q.toggle(false),
    (c) => c.queue?.cursor !== undefined || "reason.no_row",
  ),
  act(
    "extend",
    "action.queue.extend",
    ["Shift+x"],
    (q) => q.toggle(true),
    (c) => c.queue?.cursor !== undefined || "reason.no_row",
  ),
  act("select_all", "action.queue.select_all", ["Ctrl+Shift+a", "*"], (q) => q.selectAll()),
  act(
    "clear",
    "action.queue.clear",
    ["u"],
    (q) => q.clear(),
    (c) => (c.queue?.selected ?? 0) > 0 || "reason.nothing_selected",
  ),
  act(
    "show_new",
    "action.queue.show_new",
    ["."],
    (q) => q.showNew(),
    (c) => (c.queue?.fresh ?? 0) > 0 || "reason.nothing_new",
  ),
];
