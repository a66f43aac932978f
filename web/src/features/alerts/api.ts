import { type InfiniteData, keepPreviousData, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { ask, http } from "../../api/client";
import type { ActionResult, Alert, AlertAction, AlertList, AlertStatus, Disposition } from "../../api/types";
import { client } from "../../app/client";
import type { Undo } from "../../app/actions/types";
import { toast } from "../../ui/toasts";
import { number, t } from "../../lib/i18n";
import { keys } from "./keys";
import { type AlertQuery, statusMatches } from "./query";
import { count, only, type Selection, toRequest } from "./selection";

const PAGE_ROWS = 200;
type Pages = InfiniteData<AlertList, string | undefined>;

/** The queue, page by page; the server sorts and filters. */
export const useAlerts = (query: AlertQuery) =>
  useInfiniteQuery({
    queryKey: keys.list(query),
    queryFn: ({ pageParam, signal }) =>
      ask(
        http.GET("/api/v1/alerts", {
          params: { query: { ...query, cursor: pageParam, limit: PAGE_ROWS } },
          signal,
        }),
      ),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next_cursor ?? undefined,
    placeholderData: keepPreviousData,
    staleTime: 30_000,
  });

/** One alert; what the queue already knows is shown while the rest loads. */
export const useAlert = (id: string) =>
  useQuery({
    queryKey: keys.one(id),
    queryFn: ({ signal }) => ask(http.GET("/api/v1/alerts/{id}", { params: { path: { id } }, signal })),
    staleTime: 5_000,
  });

/** Returns the row of `id` from any loaded queue. */
export function cachedAlert(id: string): Alert | undefined {
  for (const [, pages] of client.getQueriesData<Pages>({ queryKey: keys.lists })) {
    const found = pages?.pages.flatMap((page) => page.items).find((alert) => alert.id === id);
    if (found) return found;
  }
  return undefined;
}

/** Puts pushed alerts over their loaded rows. Returns the ids that were loaded; the others are only counted as new. */
export function receiveAlerts(pushed: ReadonlyMap<string, Alert>): Set<string> {
  const known = new Set<string>();
  patchRows((row) => {
    const alert = pushed.get(row.id);
    if (!alert) return row;
    known.add(row.id);
    return row.revision > alert.revision ? row : alert;
  });
  for (const id of pushed.keys()) void client.invalidateQueries({ queryKey: keys.one(id) });
  return known;
}

function patchRows(change: (row: Alert, query: AlertQuery) => Alert | undefined) {
  for (const [key, data] of client.getQueriesData<Pages>({ queryKey: keys.lists })) {
    if (!data) continue;
    const query = keys.queryOf(key);
    let removed = 0;
    const pages = data.pages.map((page) => {
      let touched = false;
      const items = page.items.flatMap((row) => {
        const next = change(row, query);
        if (next !== row) touched = true;
        if (!next) removed += 1;
        return next ? [next] : [];
      });
      return touched ? { ...page, items } : page;
    });
    client.setQueryData<Pages>(key, {
      ...data,
      pages: pages.map((page) => ({ ...page, total: page.total - removed })),
    });
  }
}

const STATUS_AFTER: Partial<Record<AlertAction, AlertStatus>> = {
  acknowledge: "acknowledged",
  unacknowledge: "new",
  close: "closed",
  reopen: "new",
};

/** Shows an act on picked rows at once; rows that leave the filter go. An act on a query starts the list afresh. */
function showAct(action: AlertAction, selection: Selection) {
  const status = STATUS_AFTER[action];
  void client.invalidateQueries({ queryKey: ["overview"] });
  void client.invalidateQueries({ queryKey: ["cases"] });
  if (selection.kind === "query" || !status || action === "unacknowledge" || action === "reopen") {
    void client.resetQueries({ queryKey: keys.lists });
  } else {
    patchRows((row, query) => {
      if (!selection.ids.has(row.id)) return row;
      return statusMatches(query, status) ? { ...row, status } : undefined;
    });
    void client.invalidateQueries({ queryKey: keys.lists, refetchType: "none" });
  }
  void client.invalidateQueries({ queryKey: keys.ones });
}

export type AlertActInput = {
  action: AlertAction;
  selection: Selection;
  disposition?: Disposition;
  note?: string;
  case_id?: string;
  owner?: string;
};

/** Does one act on a selection. What the server refused stays as it was and is told by the caller. */
export async function actOnAlerts({ selection, ...act }: AlertActInput): Promise<ActionResult> {
  const result = await ask(
    http.POST("/api/v1/alerts/actions", { body: { ...act, selection: toRequest(selection) } }),
  );
  const refused = new Set(result.refused.map((each) => each.id));
  showAct(
    act.action,
    selection.kind === "ids" ? only(...[...selection.ids].filter((id) => !refused.has(id))) : selection,
  );
  return result;
}

/** Tells what an act did not do, and what cannot be taken back. */
export function tellAct(result: ActionResult, undo: Undo | undefined) {
  const [first] = result.refused;
  if (first)
    toast({
      text: t("toast.refused", { count: number(result.refused.length), reason: first.message }),
      bad: true,
    });
  if (!undo && result.changed > 0) toast({ text: t("toast.no_undo", { count: number(result.changed) }) });
}

/** Returns how to take an acknowledgement back, where the server told which alerts it changed. */
export function undoAcknowledge(result: ActionResult, selection: Selection): Undo | undefined {
  const ids =
    result.changed_ids ??
    (selection.kind === "ids" && result.refused.length === 0 ? [...selection.ids] : undefined);
  if (!ids || ids.length === 0 || ids.length < result.changed) return undefined;
  return {
    text: t(ids.length === 1 ? "toast.acknowledged_one" : "toast.acknowledged", {
      count: number(result.changed),
      of: number(count(selection)),
    }),
    run: () => actOnAlerts({ action: "unacknowledge", selection: only(...ids) }),
  };
}
