import { useVirtualizer } from "@tanstack/react-virtual";
import { type Ref, useEffect, useImperativeHandle, useRef } from "react";
import type { Alert } from "../../api/types";
import { number, t, word } from "../../lib/i18n";
import { usePreferences } from "../../lib/preferences";
import { zoneName } from "../../lib/time";
import { Age, SeverityMark, StatusTag, Tag, Time } from "../../ui/parts";
import { Empty } from "../../ui/states";
import type { SortKey } from "./query";
import { has, type Selection } from "./selection";

const ROW_PX = 32;
/** Rows drawn beyond each edge; with a 1,080 px screen that keeps the document below fifty rows. */
const OVERSCAN = 6;

type Props = {
  ref: Ref<HTMLDivElement>;
  rows: readonly Alert[];
  total: number;
  cursor: number;
  selection: Selection;
  sort: string | undefined;
  openId: string | undefined;
  more: boolean;
  onSort(key: SortKey): void;
  onPick(id: string, extend: boolean): void;
  onOpen(id: string): void;
  onEnd(): void;
};

function Head({ sort, onSort }: Pick<Props, "sort" | "onSort">) {
  const { zone } = usePreferences();
  const column = (key: SortKey, label: string, className = "") => {
    const direction = sort === key ? "ascending" : sort === `-${key}` ? "descending" : "none";
    return (
      <div role="columnheader" aria-sort={direction} className={className}>
        <button type="button" tabIndex={-1} onClick={() => onSort(key)}>
          {label}
          <span aria-hidden="true">
            {direction === "ascending" ? " ↑" : direction === "descending" ? " ↓" : ""}
          </span>
        </button>
      </div>
    );
  };
  return (
    <div role="row" className="grid-row grid-head" aria-rowindex={1}>
      <div role="columnheader">
        <span className="sr">{t("queue.selected")}</span>
      </div>
      {column("severity", t("queue.severity"))}
      <div role="columnheader">{t("queue.alert")}</div>
      <div role="columnheader" className="wide">
        {t("queue.model")}
      </div>
      {column("vehicle_count", t("queue.vehicles"), "num")}
      {column("event_count", t("queue.events"), "num")}
      <div role="columnheader">{t("queue.status")}</div>
      <div role="columnheader" className="wide">
        {t("queue.owner")}
      </div>
      {column("last_at", t("queue.last", { zone: zoneName(zone, new Date()) }), "wide2")}
      <div role="columnheader" className="num">
        {t("queue.age")}
      </div>
    </div>
  );
}

const groupText = (alert: Alert): string =>
  Object.values(alert.group)
    .map((value) => (/^[0-9a-f]{32}$/.test(value) ? value.slice(0, 8) : value))
    .join(" · ");

type RowProps = {
  row: Alert;
  index: number;
  top: number;
  at: boolean;
  selected: boolean;
  open: boolean;
} & Pick<Props, "onPick" | "onOpen">;

function Row({ row, index, top, at, selected, open, onPick, onOpen }: RowProps) {
  return (
    <div
      role="row"
      id={`alert-${row.id}`}
      aria-rowindex={index + 2}
      aria-selected={selected}
      className="grid-row"
      data-at={at || undefined}
      data-open={open || undefined}
      data-status={row.status}
      data-severity={row.severity}
      style={{ transform: `translateY(${top}px)` }}
      onClick={() => onOpen(row.id)}
    >
      <div
        role="gridcell"
        onClick={(event) => {
          event.stopPropagation();
          onPick(row.id, event.shiftKey);
        }}
      >
        <input
          type="checkbox"
          tabIndex={-1}
          checked={selected}
          readOnly
          aria-label={t("queue.select_row", { title: row.title })}
        />
      </div>
      <div role="gridcell">
        <SeverityMark severity={row.severity} />
      </div>
      <div role="gridcell" className="clip" title={`${row.title}\n${row.rule_title}`}>
        <span className="title">{row.title}</span> <span className="muted">{groupText(row)}</span>
        {row.late ? (
          <>
            {" "}
            <Tag tone="warn" title={t("alert.late.hint")}>
              {t("alert.late")}
            </Tag>
          </>
        ) : null}
        {row.case_id ? (
          <>
            {" "}
            <Tag>{t("queue.in_case")}</Tag>
          </>
        ) : null}
      </div>
      <div role="gridcell" className="clip wide muted">
        {row.model_line ?? "—"}
      </div>
      <div role="gridcell" className="num">
        {number(row.vehicle_count)}
      </div>
      <div role="gridcell" className="num">
        {number(row.event_count)}
      </div>
      <div role="gridcell">
        {row.disposition ? (
          <Tag title={word("disposition", row.disposition)}>{word("disposition.short", row.disposition)}</Tag>
        ) : (
          <StatusTag prefix="status" status={row.status} />
        )}
      </div>
      <div role="gridcell" className="clip wide muted">
        {row.owner ?? "—"}
      </div>
      <div role="gridcell" className="wide2 muted">
        <Time at={row.last_at} short />
      </div>
      <div role="gridcell" className="num muted">
        <Age at={row.last_at} />
      </div>
    </div>
  );
}

/** The virtualised queue. The grid itself has the focus; the cursor row is its active descendant. */
export function Grid({
  ref,
  rows,
  total,
  cursor,
  selection,
  sort,
  openId,
  more,
  onSort,
  onPick,
  onOpen,
  onEnd,
}: Props) {
  const outer = useRef<HTMLDivElement>(null);
  const arrived = useRef(false);
  useImperativeHandle(ref, () => outer.current as HTMLDivElement, []);
  const rowVirtualizer = useVirtualizer({
    count: rows.length,
    getScrollElement: () => outer.current,
    estimateSize: () => ROW_PX,
    overscan: OVERSCAN,
    scrollPaddingStart: ROW_PX,
  });
  const shown = rowVirtualizer.getVirtualItems();
  const last = shown.at(-1)?.index ?? 0;
  useEffect(() => {
    if (more && last >= rows.length - 40) onEnd();
  }, [last, rows.length, more, onEnd]);
  useEffect(() => {
    if (cursor < 0) return;
    rowVirtualizer.scrollToIndex(cursor, { align: arrived.current ? "auto" : "center" });
    arrived.current = true;
  }, [cursor, rowVirtualizer]);
  const cursorRow = shown.some((item) => item.index === cursor) ? rows[cursor] : undefined;
  return (
    <div
      ref={outer}
      role="grid"
      className="grid"
      tabIndex={0}
      aria-label={t("queue.label")}
      aria-rowcount={total + 1}
      aria-multiselectable="true"
      aria-activedescendant={cursorRow ? `alert-${cursorRow.id}` : undefined}
    >
      <div role="rowgroup" className="grid-headgroup">
        <Head sort={sort} onSort={onSort} />
      </div>
      {rows.length === 0 ? null : (
        <div role="rowgroup" className="grid-rows" style={{ blockSize: rowVirtualizer.getTotalSize() }}>
          {shown.map((item) => {
            const row = rows[item.index];
            return row ? (
              <Row
                key={row.id}
                row={row}
                index={item.index}
                top={item.start}
                at={item.index === cursor}
                selected={has(selection, row.id)}
                open={row.id === openId}
                onPick={onPick}
                onOpen={onOpen}
              />
            ) : null;
          })}
        </div>
      )}
      {rows.length === 0 ? (
        <Empty title={t("queue.empty")}>
          <span>{t("queue.empty.hint")}</span>
        </Empty>
      ) : null}
    </div>
  );
}
