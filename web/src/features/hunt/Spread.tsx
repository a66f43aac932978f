import { useMemo, useState } from "react";
import type { SqlResult } from "../../api/types";
import { counted, number, t } from "../../lib/i18n";
import { usePreferences } from "../../lib/preferences";
import { formatTime, type Zone } from "../../lib/time";
import { Tag } from "../../ui/parts";
import { histogram, type Bin, type Histogram } from "./histogram";

const WIDTH = 1000;
const HEIGHT = 72;
/** The least that a bar with a row is high. */
const BAR_MIN = 2;

/** Returns what a bin holds, in words. */
export function binName(kind: Histogram["kind"], { from, to, rest }: Bin, zone: Zone): string {
  if (rest) return t("hunt.spread.others", { count: number(Number(from)) });
  if (kind === "text") return from === "" ? t("hunt.spread.blank") : String(from);
  if (kind === "time")
    return t("hunt.spread.range", {
      from: formatTime(new Date(Number(from)).toISOString(), zone),
      to: formatTime(new Date(Number(to)).toISOString(), zone),
    });
  if (to === Number(from) + 1) return number(Number(from));
  return t("hunt.spread.range", { from: number(Number(from)), to: number(Number(to)) });
}

type Props = {
  result: SqlResult;
  /** The column that is drawn. */
  index: number;
  setIndex(index: number): void;
  chosen: Bin | undefined;
  choose(bin: Bin | undefined): void;
};
type BinsProps = { found: Histogram; zone: Zone } & Pick<Props, "chosen" | "choose">;

function Bars({ found, zone, chosen, choose }: BinsProps) {
  const most = Math.max(1, ...found.bins.map((bin) => bin.rows.length));
  const step = WIDTH / found.bins.length;
  const [first, last] = [found.bins[0], found.bins.at(-1)];
  const label = t("hunt.spread.label", { bars: number(found.bins.length), most: number(most) });
  return (
    <>
      <svg
        className="spread"
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={label}
      >
        {found.bins.map((bin, index) => {
          const size = bin.rows.length === 0 ? 0 : Math.max(BAR_MIN, (bin.rows.length / most) * HEIGHT);
          const isChosen = bin.from === chosen?.from && bin.rest === chosen.rest;
          return (
            <g key={index} data-chosen={isChosen || undefined} onClick={() => choose(isChosen ? undefined : bin)}>
              <title>{`${binName(found.kind, bin, zone)}: ${counted("hunt.rows", bin.rows.length)}`}</title>
              <rect className="spread-ground" x={index * step} y={0} width={step} height={HEIGHT} />
              <rect x={(index + 0.1) * step} y={HEIGHT - size} width={step * 0.8} height={size} />
            </g>
          );
        })}
      </svg>
      <div className="row between muted axis">
        <span className="clip">{first && binName(found.kind, first, zone)}</span>
        {last && last !== first ? <span className="clip">{binName(found.kind, last, zone)}</span> : null}
      </div>
    </>
  );
}

const BinTable = ({ found, zone, chosen, choose }: BinsProps) => (
  <ul className="choices-list limited">
    {found.bins.map((bin, index) =>
      bin.rows.length === 0 ? null : (
        <li key={index}>
          <button
            type="button"
            aria-pressed={bin.from === chosen?.from && bin.rest === chosen.rest}
            onClick={() => choose(bin)}
          >
            <span className="row between">
              <span className="clip">{binName(found.kind, bin, zone)}</span>
              <span className="num">{counted("hunt.rows", bin.rows.length)}</span>
            </span>
          </button>
        </li>
      ),
    )}
  </ul>
);

/** How the rows of the answer spread over one column; a bar narrows the rows below to its own. */
export function Spread({ result, index, setIndex, chosen, choose }: Props) {
  const { zone } = usePreferences();
  const [table, setTable] = useState(false);
  const found = useMemo(() => (index < 0 ? undefined : histogram(result, index)), [result, index]);
  const parts = found && { found, zone, chosen, choose };
  return (
    <div className="note stack">
      <div className="row wrap between">
        <label className="row">
          <span className="muted">{t("hunt.spread.by")}</span>
          <select
            value={index}
            onChange={(event) => {
              choose(undefined);
              setIndex(Number(event.target.value));
            }}
          >
            <option value={-1}>{t("hunt.spread.none")}</option>
            {result.columns.map(({ name }, each) => (
              <option key={each} value={each}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <div className="row wrap">
          {found && chosen ? (
            <button type="button" className="button small" onClick={() => choose(undefined)}>
              {t("hunt.spread.all", { bin: binName(found.kind, chosen, zone) })}
            </button>
          ) : null}
          {found && found.empty > 0 ? (
            <Tag>{t("hunt.spread.empty", { rows: counted("hunt.rows", found.empty) })}</Tag>
          ) : null}
          {parts ? (
            <button
              type="button"
              className="button quiet small"
              aria-pressed={table}
              onClick={() => setTable(!table)}
            >
              {t("chart.table")}
            </button>
          ) : null}
        </div>
      </div>
      {!parts || parts.found.bins.length === 0 ? null : table ? <BinTable {...parts} /> : <Bars {...parts} />}
    </div>
  );
}
