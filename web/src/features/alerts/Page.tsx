import { useNavigate, useSearch } from "@tanstack/react-router";
import { lazy, Suspense, useCallback, useEffect, useMemo, useRef, useState } from "react";
import type { Alert } from "../../api/types";
import { usePublish } from "../../app/actions/context";
import type { QueueHandle, TriageHandle } from "../../app/actions/types";
import { clearFresh, useLive } from "../../app/live";
import { client } from "../../app/client";
import { t } from "../../lib/i18n";
import { Loading, Problem } from "../../ui/states";
import { useAlerts } from "./api";
import { Filters } from "./Filters";
import { Grid } from "./Grid";
import { keys } from "./keys";
import { matches, nextSort, toQuery, type AlertSearch } from "./query";
import { count, everything, has, NOTHING, only, range, set, toggle, type Selection } from "./selection";
import { SelectionBar } from "./SelectionBar";

const Pane = lazy(() => import("./Pane"));

/** Which rows are picked, and where the cursor stands. Both may be forgotten, so they are not in the URL. */
function useRows(rows: readonly Alert[], queryText: string, openId: string | undefined) {
  const [selection, setSelection] = useState<Selection>(NOTHING);
  const [cursorId, setCursorId] = useState(openId);
  const lastIndex = useRef(0);
  const anchor = useRef<string>(undefined);
  useEffect(() => setSelection(NOTHING), [queryText]);
  const found = rows.findIndex((row) => row.id === cursorId);
  // A row that left the list hands the cursor to its successor.
  const cursor = found >= 0 ? found : Math.min(lastIndex.current, rows.length - 1);
  if (found >= 0) lastIndex.current = found;
  return { selection, setSelection, cursor, setCursorId, anchor };
}

export function Page() {
  const search = useSearch({ from: "/alerts" });
  const navigate = useNavigate({ from: "/alerts" });
  const query = useMemo(() => toQuery(search), [search]);
  const list = useAlerts(query);
  const live = useLive();
  const fresh = useMemo(
    () => [...live.fresh.values()].filter((alert) => matches(query, alert)).length,
    [live.fresh, query],
  );
  const rows = useMemo(() => list.data?.pages.flatMap((page) => page.items) ?? [], [list.data]);
  const head = list.data?.pages.at(-1);
  const state = useRows(rows, JSON.stringify(query), search.sel);
  const { selection, setSelection, cursor, setCursorId, anchor } = state;
  const grid = useRef<HTMLDivElement>(null);

  const patch = useCallback(
    (change: Partial<AlertSearch>) =>
      void navigate({ search: (old: AlertSearch) => ({ ...old, ...change }), replace: true }),
    [navigate],
  );
  const showNew = useCallback(() => {
    clearFresh();
    void client.resetQueries({ queryKey: keys.lists });
  }, []);
  useEffect(clearFresh, [query]);

  const pick = useCallback(
    (id: string, extend: boolean) => {
      const order = rows.map((row) => row.id);
      setSelection((old) => (extend ? set(old, range(order, anchor.current, id), true) : toggle(old, id)));
      anchor.current = id;
      setCursorId(id);
    },
    [rows, setSelection, anchor, setCursorId],
  );

  const handle = useMemo((): QueueHandle => {
    const moveTo = (index: number) => {
      const row = rows[Math.max(0, Math.min(rows.length - 1, index))];
      if (row) setCursorId(row.id);
      if (index >= rows.length - 1 && list.hasNextPage && !list.isFetchingNextPage) void list.fetchNextPage();
      if (row && search.sel) patch({ sel: row.id });
    };
    return {
      move: (step) => moveTo(cursor + step),
      edge: (end) => moveTo(end === "first" ? 0 : rows.length - 1),
      toggle: (extend) => rows[cursor] && pick(rows[cursor].id, extend),
      selectAll: () => head && setSelection(everything(query, head.total, head.as_of)),
      clear: () => setSelection(NOTHING),
      openCursor: () => rows[cursor] && patch({ sel: rows[cursor].id }),
      closePane: () => {
        patch({ sel: undefined });
        grid.current?.focus();
      },
      showNew,
      cursor: rows[cursor],
      selected: count(selection),
      fresh,
      paneOpen: search.sel !== undefined,
    };
  }, [
    rows,
    cursor,
    list,
    search.sel,
    patch,
    pick,
    head,
    query,
    selection,
    fresh,
    showNew,
    setCursorId,
    setSelection,
  ]);
  usePublish("queue", handle);

  const triage = useMemo((): TriageHandle => {
    // Acts mean the selection; without one the open alert, without that the cursor row.
    const single = search.sel ?? rows[cursor]?.id;
    const target = count(selection) > 0 ? selection : single ? only(single) : NOTHING;
    return {
      selection: target,
      alerts: rows.filter((row) => has(target, row.id)),
      done: () => setSelection(NOTHING),
    };
  }, [selection, rows, cursor, search.sel, setSelection]);
  usePublish("triage", triage);

  return (
    <div className="queue-page">
      <div className="queue">
        <Filters
          search={search}
          patch={patch}
          counts={list.data?.pages[0]?.counts ?? undefined}
          total={head?.total}
        />
        <SelectionBar
          selection={selection}
          total={head?.total ?? 0}
          loaded={rows.length}
          fresh={fresh}
          paneOpen={search.sel !== undefined}
        />
        {list.error && rows.length === 0 ? (
          <Problem error={list.error} retry={list.refetch} />
        ) : list.isPending ? (
          <Loading />
        ) : (
          <Grid
            ref={grid}
            rows={rows}
            total={head?.total ?? 0}
            cursor={cursor}
            selection={selection}
            sort={query.sort}
            openId={search.sel}
            onSort={(key) => patch({ sort: nextSort(search.sort, key) })}
            onPick={pick}
            onOpen={(id) => {
              setCursorId(id);
              patch({ sel: id });
            }}
            onEnd={() => list.hasNextPage && !list.isFetchingNextPage && void list.fetchNextPage()}
            more={list.hasNextPage}
          />
        )}
      </div>
      {search.sel ? (
        <Suspense
          fallback={
            <aside className="pane" aria-label={t("alert.pane")}>
              <Loading />
            </aside>
          }
        >
          <Pane id={search.sel} />
        </Suspense>
      ) : null}
    </div>
  );
}
