import { ActionButton } from "../../app/actions/context";
import { number, t } from "../../lib/i18n";
import { count, type Selection } from "./selection";

const ACTS = [
  "alert.acknowledge",
  "alert.close",
  "alert.take",
  "alert.open_case",
  "alert.add_to_case",
] as const;

/** What is picked and what can be done with it; without a selection the acts mean the cursor row. */
export function SelectionBar({
  selection,
  total,
  loaded,
  fresh,
  paneOpen,
}: {
  selection: Selection;
  total: number;
  loaded: number;
  fresh: number;
  paneOpen: boolean;
}) {
  const picked = count(selection);
  return (
    <div className="selection-bar">
      <span className="muted" aria-live="off">
        {picked === 0
          ? t(paneOpen ? "queue.pane_acts" : "queue.cursor_acts")
          : selection.kind === "query"
            ? t("queue.all_selected", { count: number(picked) })
            : t("queue.count_selected", { count: number(picked) })}
      </span>
      {picked === 0 && paneOpen
        ? null
        : ACTS.map((id) => <ActionButton key={id} id={id} className="small" />)}
      {picked > 0 && selection.kind === "ids" && total > picked ? (
        <ActionButton
          id="queue.select_all"
          className="small quiet"
          label={t("queue.select_all", { count: number(total) })}
        />
      ) : null}
      {picked > 0 ? <ActionButton id="queue.clear" className="small quiet" /> : null}
      <span className="grow" />
      {fresh > 0 ? (
        <ActionButton
          id="queue.show_new"
          className="small fresh"
          label={t("queue.fresh", { count: number(fresh) })}
          primary
        />
      ) : null}
      <span className="muted">{t("queue.loaded", { loaded: number(loaded), total: number(total) })}</span>
    </div>
  );
}
