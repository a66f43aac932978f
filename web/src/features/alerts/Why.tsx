import { Link } from "@tanstack/react-router";
import { useState } from "react";
import type { AlertDetail } from "../../api/types";
import { number, t, word } from "../../lib/i18n";
import { Card, Tag, Time, Yaml } from "../../ui/parts";

type Window = NonNullable<AlertDetail["explanation"]["window"]>;

/** The observed value against the threshold, to scale. */
function Threshold({ window }: { window: Window }) {
  const most = Math.max(window.observed, window.threshold, 1) * 1.1;
  return (
    <figure className="threshold">
      <svg
        viewBox="0 0 400 34"
        preserveAspectRatio="none"
        role="img"
        aria-label={t("why.threshold.label", {
          observed: number(window.observed),
          threshold: number(window.threshold),
        })}
      >
        <rect x="0" y="10" width="400" height="14" rx="2" className="track" />
        <rect x="0" y="10" width={(window.observed / most) * 400} height="14" rx="2" className="observed" />
        <rect x={(window.threshold / most) * 400 - 1} y="3" width="2" height="28" className="limit" />
      </svg>
      <figcaption>
        <strong>{number(window.observed)}</strong>{" "}
        {window.field ? t("why.distinct", { field: window.field }) : t("why.events")}{" "}
        <span className="muted">
          {t("why.against", {
            operator: word("operator", window.operator),
            threshold: number(window.threshold),
          })}
        </span>
        <br />
        <span className="muted">
          <Time at={window.from} /> – <Time at={window.to} />
        </span>
      </figcaption>
    </figure>
  );
}

/** Why it fired: rule, condition, what matched, the window, and what would have stayed silent. */
export function Why({ alert }: { alert: AlertDetail }) {
  const [source, setSource] = useState(false);
  const { explanation } = alert;
  return (
    <Card
      title={t("why.title")}
      className="why"
      aside={
        <Link to="/rules/$id" params={{ id: alert.rule_id }}>
          {alert.rule_title}
        </Link>
      }
    >
      <div className="stack">
        <p className="summary">{explanation.summary}</p>
        {explanation.window ? <Threshold window={explanation.window} /> : null}
        {explanation.matched.length > 0 ? (
          <table className="matched">
            <thead>
              <tr>
                <th>{t("why.field")}</th>
                <th>{t("why.expected")}</th>
                <th>{t("why.observed")}</th>
              </tr>
            </thead>
            <tbody>
              {explanation.matched.map((row, index) => (
                <tr key={index}>
                  <td className="mono">{row.field}</td>
                  <td className="mono">
                    <span className="muted">{row.op}</span> {row.expected}
                  </td>
                  <td className="mono">{row.observed}</td>
                </tr>
              ))}
            </tbody>
          </table>
        ) : null}
        <dl className="facts">
          <dt>{t("why.condition")}</dt>
          <dd>
            <code className="mark condition">{explanation.condition || "—"}</code>
          </dd>
          <dt>{t("why.below")}</dt>
          <dd>{explanation.below_threshold || "—"}</dd>
          {Object.entries(alert.group).map(([field, value]) => (
            <GroupFact key={field} field={field} value={value} />
          ))}
        </dl>
        <div className="row wrap">
          {alert.tags.map((tag) => (
            <Tag key={tag}>{tag}</Tag>
          ))}
          <span className="grow" />
          <button
            type="button"
            className="button quiet small"
            aria-expanded={source}
            onClick={() => setSource(!source)}
          >
            {t(source ? "why.hide_source" : "why.show_source")}
          </button>
        </div>
        {source ? <Yaml text={explanation.rule_yaml} /> : null}
      </div>
    </Card>
  );
}

const GroupFact = ({ field, value }: { field: string; value: string }) => (
  <>
    <dt>{t("why.group", { field })}</dt>
    <dd className="mono">{value}</dd>
  </>
);
