import { useState } from "react";
import type { RateBucket } from "../../api/types";
import { compact, number, t } from "../../lib/i18n";
import { usePreferences } from "../../lib/preferences";
import { formatClock, zoneName } from "../../lib/time";
import { Time } from "../../ui/parts";
import { Empty } from "../../ui/states";

const WIDTH = 1000;
const EVENTS_HEIGHT = 90;
const FINDINGS_HEIGHT = 34;

type Series = { rate: readonly RateBucket[]; field: "events" | "findings"; top: number; height: number };

/** Bars of one series over the minutes; the scale is its own maximum, named beside it. */
function Bars({ rate, field, top, height }: Series) {
  const most = Math.max(1, ...rate.map((bucket) => bucket[field]));
  const step = WIDTH / rate.length;
  return (
    <g className={`bars-${field}`}>
      <line x1="0" x2={WIDTH} y1={top + height} y2={top + height} />
      {rate.map((bucket, index) => {
        const size = (bucket[field] / most) * height;
        return (
          <rect
            key={bucket.at}
            x={index * step + step * 0.12}
            y={top + height - size}
            width={step * 0.76}
            height={size}
          />
        );
      })}
    </g>
  );
}

function RateTable({ rate }: { rate: readonly RateBucket[] }) {
  return (
    <div className="scroll limited" tabIndex={0} role="region" aria-label={t("overview.chart")}>
      <table>
        <thead>
          <tr>
            <th>{t("chart.minute")}</th>
            <th className="num">{t("chart.events")}</th>
            <th className="num">{t("chart.findings")}</th>
          </tr>
        </thead>
        <tbody>
          {rate.toReversed().map((bucket) => (
            <tr key={bucket.at}>
              <td>
                <Time at={bucket.at} />
              </td>
              <td className="num">{number(bucket.events)}</td>
              <td className="num">{number(bucket.findings)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Events and findings of the last hour, with the same numbers as a table on request. */
export function RateChart({ rate }: { rate: readonly RateBucket[] }) {
  const { zone } = usePreferences();
  const [table, setTable] = useState(false);
  if (rate.length === 0) return <Empty title={t("chart.none")} />;
  const most = (field: "events" | "findings") => Math.max(0, ...rate.map((bucket) => bucket[field]));
  const first = rate[0]?.at ?? "";
  const last = rate.at(-1)?.at ?? "";
  return (
    <div className="stack">
      <div className="row between muted">
        <span>
          <span className="swatch events" /> {t("chart.events_max", { count: compact(most("events")) })}{" "}
          <span className="swatch findings" /> {t("chart.findings_max", { count: compact(most("findings")) })}
        </span>
        <button
          type="button"
          className="button quiet small"
          aria-pressed={table}
          onClick={() => setTable(!table)}
        >
          {t("chart.table")}
        </button>
      </div>
      {table ? (
        <RateTable rate={rate} />
      ) : (
        <>
          <svg
            className="rate-chart"
            viewBox={`0 0 ${WIDTH} ${EVENTS_HEIGHT + FINDINGS_HEIGHT + 12}`}
            preserveAspectRatio="none"
            role="img"
            aria-label={t("chart.label", {
              events: number(most("events")),
              findings: number(most("findings")),
            })}
          >
            <Bars rate={rate} field="events" top={2} height={EVENTS_HEIGHT} />
            <Bars rate={rate} field="findings" top={EVENTS_HEIGHT + 10} height={FINDINGS_HEIGHT} />
          </svg>
          <div className="row between muted axis">
            <span>{formatClock(first, zone)}</span>
            <span>
              {formatClock(last, zone)} {zoneName(zone, new Date(last))}
            </span>
          </div>
        </>
      )}
    </div>
  );
}
