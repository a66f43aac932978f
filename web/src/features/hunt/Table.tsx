import { Link } from "@tanstack/react-router";
import { useVirtualizer } from "@tanstack/react-virtual";
import { memo, useEffect, useLayoutEffect, useMemo, useRef, useState, type RefObject } from "react";
import type { SqlResult } from "../../api/types";
import { t } from "../../lib/i18n";
import { isNumeric, shown, widths } from "./columns";

type Values = SqlResult["rows"][number];
type Columns = SqlResult["columns"];

const ROW_PX = 28;
const OVERSCAN = 8;
/** Gap between two columns, as the style has it. */
const GAP_CHARS = 2;
/** Columns drawn beyond each edge. */
const COLUMNS_OVERSCAN = 2;
/** Width of one character until it has been measured. */
const CHAR_PX = 7.2;
const PROBE = "0".repeat(20);

/** A value as text; a vehicle is a way to its page. */
export function Value({ value, name, quiet }: { value: Values[number]; name: string; quiet?: boolean }) {
  if (value === null) return <span className="muted">{shown(value)}</span>;
  if (name.endsWith("vehicle_id") && typeof value === "string" && /^[0-9a-f]{32}$/.test(value))
    return (
      <Link
        to="/vehicles/$id/{-$tab}"
        params={{ id: value, tab: undefined }}
        tabIndex={quiet ? -1 : undefined}
        onClick={(event) => event.stopPropagation()}
      >
        {value}
      </Link>
    );
  return <>{shown(value)}</>;
}

type RowProps = {
  values: Values;
  columns: Columns;
  index: number;
  top: number;
  template: string;
  at: boolean;
  from: number;
  to: number;
  onPick(index: number): void;
};

const Row = memo(function Row({ values, columns, index, top, template, at, from, to, onPick }: RowProps) {
  return (
    <div
      role="row"
      id={`answer-${index}`}
      className="answer-row"
      aria-rowindex={index + 2}
      aria-selected={at}
      data-at={at || undefined}
      style={{ gridTemplateColumns: template, transform: `translateY(${top}px)` }}
      onClick={() => onPick(index)}
    >
      {columns.slice(from, to).map(({ name, type }, offset) => (
        <div
          key={from + offset}
          role="gridcell"
          aria-colindex={from + offset + 1}
          className={isNumeric(type) ? "clip num" : "clip"}
          style={{ gridColumn: from + offset + 1 }}
        >
          <Value value={values[from + offset] ?? null} name={name} quiet />
        </div>
      ))}
    </div>
  );
});

/** Returns the columns in sight, `from` to before `to`, and where to draw what is measured. */
function useColumnsInSight(outer: RefObject<HTMLDivElement | null>, chars: readonly number[]) {
  const probe = useRef<HTMLSpanElement>(null);
  const [charPx, setCharPx] = useState(CHAR_PX);
  const virtualizer = useVirtualizer({
    horizontal: true,
    count: chars.length,
    getScrollElement: () => outer.current,
    estimateSize: (index) => ((chars[index] ?? 0) + GAP_CHARS) * charPx,
    overscan: COLUMNS_OVERSCAN,
  });
  useLayoutEffect(() => {
    const width = probe.current?.getBoundingClientRect().width ?? 0;
    if (width > 0) setCharPx(width / PROBE.length);
  }, []);
  useEffect(() => virtualizer.measure(), [charPx, chars, virtualizer]);
  const items = virtualizer.getVirtualItems();
  return { probe, from: items[0]?.index ?? 0, to: (items.at(-1)?.index ?? -1) + 1 };
}

type Props = { result: SqlResult; at: number; onPick(index: number): void };

/** The answer, of which only the visible rows and columns are in the document. */
export function Table({ result, at, onPick }: Props) {
  const { columns, rows } = result;
  const outer = useRef<HTMLDivElement>(null);
  const virtualizer = useVirtualizer({
    count: rows.length,
    getScrollElement: () => outer.current,
    estimateSize: () => ROW_PX,
    overscan: OVERSCAN,
    scrollPaddingStart: ROW_PX,
  });
  const layout = useMemo(() => {
    const chars = widths(result);
    const template = chars.map((each, index) =>
      index === chars.length - 1 ? `minmax(${each}ch, 1fr)` : `${each}ch`,
    );
    const total = chars.reduce((all, each) => all + each + GAP_CHARS, 0);
    return { chars, template: template.join(" "), minInlineSize: `${total}ch` };
  }, [result]);
  const { template, minInlineSize, chars } = layout;
  const { probe, from, to } = useColumnsInSight(outer, chars);
  useEffect(() => {
    if (at >= 0) virtualizer.scrollToIndex(at);
  }, [at, virtualizer]);
  const items = virtualizer.getVirtualItems();
  return (
    <div
      ref={outer}
      role="grid"
      className="answer"
      tabIndex={0}
      aria-label={t("hunt.answer")}
      aria-rowcount={rows.length + 1}
      aria-colcount={columns.length}
      aria-activedescendant={items.some((item) => item.index === at) ? `answer-${at}` : undefined}
    >
      <span ref={probe} className="answer-probe" aria-hidden="true">
        {PROBE}
      </span>
      <div role="rowgroup" className="answer-head" style={{ minInlineSize }}>
        <div role="row" className="answer-row" aria-rowindex={1} style={{ gridTemplateColumns: template }}>
          {columns.slice(from, to).map(({ name, type }, offset) => (
            <div
              key={from + offset}
              role="columnheader"
              aria-colindex={from + offset + 1}
              className={isNumeric(type) ? "clip num" : "clip"}
              style={{ gridColumn: from + offset + 1 }}
              title={`${name}: ${type}`}
            >
              {name}
            </div>
          ))}
        </div>
      </div>
      <div
        role="rowgroup"
        className="answer-rows"
        style={{ minInlineSize, blockSize: virtualizer.getTotalSize() }}
      >
        {items.map((item) => (
          <Row
            key={item.index}
            values={rows[item.index] ?? []}
            columns={columns}
            index={item.index}
            top={item.start}
            template={template}
            at={item.index === at}
            from={from}
            to={to}
            onPick={onPick}
          />
        ))}
      </div>
    </div>
  );
}
