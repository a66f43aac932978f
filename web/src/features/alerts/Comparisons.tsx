import type { SecurityEvent } from "../../api/types";
import { number, t } from "../../lib/i18n";
import { useCatalogue } from "../catalogue/api";
import { comparisons, distance, placed, verdict, type Comparison, type Range } from "./comparison";

const WIDTH = 400;
const HEIGHT = 26;

const fine = new Intl.NumberFormat("en", { maximumFractionDigits: 6 });
const tiny = new Intl.NumberFormat("en", { maximumSignificantDigits: 3, notation: "scientific" });
const rough = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });

/** A value in its unit: six decimals, and those below them not as nought. */
function amount(value: number, unit: string | undefined): string {
  const text = (value !== 0 && Math.abs(value) < 1e-6 ? tiny : fine).format(value);
  return unit ? `${text} ${unit}` : text;
}

function expectation({ low, high, unit }: Range): string {
  if (low === undefined) return t("compare.at_most", { value: amount(high ?? 0, unit) });
  if (high === undefined) return t("compare.at_least", { value: amount(low, unit) });
  return low === high
    ? amount(low, unit)
    : t("compare.between", { low: amount(low, unit), high: amount(high, unit) });
}

/** The expected range and the observed value, to scale; the words beside it say the same. */
function RangePlot({ range }: { range: Range }) {
  const at = placed(range);
  const where = verdict(range);
  const observed = amount(range.observed, range.unit);
  const expected = expectation(range);
  const off = amount(Math.abs(distance(range)), range.unit);
  const low = at.low * WIDTH;
  return (
    <figure className="range-plot" data-verdict={where}>
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={t("compare.label", { observed, expected })}
      >
        <rect x="0" y="8" width={WIDTH} height="10" rx="2" className="track" />
        {/* One expected value is a band too thin to see, so it gets a width of its own. */}
        <rect
          x={Math.min(low, WIDTH - 4)}
          y="5"
          width={Math.max(4, at.high * WIDTH - low)}
          height="16"
          rx="2"
          className="expected"
        />
        <rect
          x={Math.min(WIDTH - 4, Math.max(0, at.observed * WIDTH - 2))}
          y="0"
          width="4"
          height={HEIGHT}
          className="observed"
        />
      </svg>
      <div className="row between muted axis" aria-hidden="true">
        <span>{rough.format(at.from)}</span>
        <span>{rough.format(at.to)}</span>
      </div>
      <figcaption>
        <span className="key observed">{t("compare.observed")}</span> <strong>{observed}</strong>
        <span className="key expected">{t("compare.expected")}</span> <strong>{expected}</strong>
        <span className="muted">
          {where === "inside"
            ? t("compare.inside")
            : t(where === "below" ? "compare.below" : "compare.above", { off })}
        </span>
      </figcaption>
    </figure>
  );
}

const TextPair = ({ pair }: { pair: Extract<Comparison, { kind: "text" }> }) => (
  <dl className="facts text-pair">
    <dt>{t("compare.expected")}</dt>
    <dd>{pair.expected}</dd>
    <dt>{t("compare.observed")}</dt>
    <dd>{pair.observed}</dd>
  </dl>
);

const text = (event: SecurityEvent, field: string): string | undefined => {
  const value = event.fields[field]?.value;
  return value === undefined ? undefined : typeof value === "number" ? number(value) : String(value);
};

/** What a detector expected and what it saw, for every pair of fields that says so; nothing where none does. */
export function Comparisons({ event }: { event: SecurityEvent }) {
  const catalogue = useCatalogue();
  const all = comparisons(event.fields, catalogue.data?.fields);
  const detector = text(event, "detector");
  const ppm = text(event, "p_value_ppm");
  if (all.length === 0) return null;
  return (
    <section className="comparisons" aria-label={t("compare.title")}>
      {all.map((each) => (
        <div key={each.name} className="stack">
          {each.name ? (
            <h3>
              {each.title ?? each.name.replaceAll("_", " ")}{" "}
              {each.subject ? <span className="mono">{each.subject}</span> : null}
            </h3>
          ) : null}
          {each.kind === "range" ? <RangePlot range={each} /> : <TextPair pair={each} />}
        </div>
      ))}
      {detector || ppm ? (
        <p className="muted">
          {detector ? t("compare.detector", { detector }) : null}
          {detector && ppm ? ", " : null}
          {ppm ? t("compare.p_value", { ppm }) : null}
        </p>
      ) : null}
    </section>
  );
}
