import { actOnAlerts, tellAct, undoAcknowledge } from "../../../features/alerts/api";
import { count } from "../../../features/alerts/selection";
import { t } from "../../../lib/i18n";
import type { Action, Context } from "../types";

const some = (c: Context): true | "reason.nothing_selected" =>
  c.triage && count(c.triage.selection) > 0 ? true : "reason.nothing_selected";

/** A selection by query may hold rows that are not loaded, so only loaded rows can give a reason against. */
function anyIn(c: Context, ...statuses: string[]): true | "reason.status" | "reason.nothing_selected" {
  const chosen = some(c);
  if (chosen !== true || !c.triage || c.triage.selection.kind === "query") return chosen;
  return (
    c.triage.alerts.length === 0 ||
    c.triage.alerts.some((alert) => statuses.includes(alert.status)) ||
    "reason.status"
  );
}

export const triage: readonly Action[] = [
  {
    id: "alert.acknowledge",
    title: "action.acknowledge",
    keys: ["a"],
    scope: "triage",
    permission: "triage",
    risk: "undo",
    enabled: (c) => anyIn(c, "new"),
    run: async (c) => {
      if (!c.triage) return;
      const { selection, done } = c.triage;
      const result = await actOnAlerts({ action: "acknowledge", selection });
      done();
      const undo = undoAcknowledge(result, selection);
      tellAct(result, undo);
      return undo;
    },
  },
  {
    id: "alert.close",
    title: "action.close",
    keys: ["c"],
    scope: "triage",
    permission: "triage",
    risk: "confirm",
    enabled: (c) => anyIn(c, "new", "acknowledged"),
    run: (c) => c.triage && c.shell.open({ kind: "close-alerts", selection: c.triage.selection }),
  },
  {
    id: "alert.reopen",
    title: "action.reopen",
    keys: ["Shift+o"],
    scope: "triage",
    permission: "triage",
    risk: "none",
    enabled: (c) => anyIn(c, "closed"),
    run: async (c) => {
      if (!c.triage) return;
      await actOnAlerts({ action: "reopen", selection: c.triage.selection });
      c.triage.done();
    },
  },
  {
    id: "alert.take",
    title: "action.take",
    keys: ["t"],
    scope: "triage",
    permission: "triage",
    risk: "none",
    enabled: some,
    run: async (c) => {
      if (!c.triage) return;
      await actOnAlerts({ action: "assign", selection: c.triage.selection, owner: c.user.name });
      c.triage.done();
    },
  },
  {
    id: "alert.open_case",
    title: "action.open_case",
    keys: ["n"],
    scope: "triage",
    permission: "triage",
    risk: "confirm",
    enabled: some,
    run: (c) =>
      c.triage &&
      c.shell.open({
        kind: "open-case",
        selection: c.triage.selection,
        title: c.triage.alerts[0]?.title ?? t("case.untitled"),
      }),
  },
  {
    id: "alert.add_to_case",
    title: "action.add_to_case",
    keys: ["m"],
    scope: "triage",
    permission: "triage",
    risk: "confirm",
    enabled: some,
    run: (c) => c.triage && c.shell.open({ kind: "add-to-case", selection: c.triage.selection }),
  },
];
