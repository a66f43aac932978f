import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import type { Overview, WaitingItem } from "../../api/types";
import { compact, counted, number, t, word } from "../../lib/i18n";
import { formatSpan } from "../../lib/time";
import { Age, Card, SeverityMark } from "../../ui/parts";
import { Await, Empty } from "../../ui/states";
import { SEVERITIES } from "../alerts/query";
import { useOverview } from "./api";
import { RateChart } from "./RateChart";

const Figure = ({
  label,
  value,
  note,
  tone = "",
}: {
  label: string;
  value: ReactNode;
  note?: ReactNode;
  tone?: string;
}) => (
  <div className="figure">
    <span className="muted">{label}</span>
    <strong className={tone}>{value}</strong>
    <span className="muted">{note}</span>
  </div>
);

function OpenAlerts({ overview }: { overview: Overview }) {
  const total = SEVERITIES.reduce((sum, severity) => sum + overview.open[severity], 0);
  return (
    <Card title={t("overview.open")} className="span-2">
      <div className="open-alerts">
        <Link to="/alerts" search={{ severity: "critical" }} className="critical-figure">
          <strong className={overview.open.critical > 0 ? "c-critical" : ""}>
            {number(overview.open.critical)}
          </strong>
          <span>
            <SeverityMark severity="critical" />
          </span>
        </Link>
        <div className="stack grow">
          <svg className="stacked-bar" viewBox="0 0 1000 12" preserveAspectRatio="none" aria-hidden="true">
            <rect width="1000" height="12" className="track" />
            {total > 0
              ? SEVERITIES.map((severity, index) => {
                  const before = SEVERITIES.slice(0, index).reduce(
                    (sum, each) => sum + overview.open[each],
                    0,
                  );
                  return (
                    <rect
                      key={severity}
                      className={`fill-${severity}`}
                      x={(before / total) * 1000}
                      width={(overview.open[severity] / total) * 1000}
                      height="12"
                    />
                  );
                })
              : null}
          </svg>
          <ul className="severity-counts">
            {SEVERITIES.map((severity) => (
              <li key={severity}>
                <Link to="/alerts" search={{ severity }}>
                  <SeverityMark severity={severity} /> <strong>{number(overview.open[severity])}</strong>
                </Link>
              </li>
            ))}
          </ul>
          <p className="muted">
            {t("overview.statuses", {
              fresh: number(overview.alerts_by_status.new),
              acknowledged: number(overview.alerts_by_status.acknowledged),
              closed: number(overview.alerts_by_status.closed),
            })}
            {overview.oldest_unacknowledged_at ? (
              <>
                {" "}
                {t("overview.oldest")} <Age at={overview.oldest_unacknowledged_at} />
              </>
            ) : null}
          </p>
        </div>
      </div>
    </Card>
  );
}

/** Beyond this the figure is marked: an alert ought to be on screen within a second of its arrival. */
const LAG_MS_CALM = 1_000;

const Figures = ({ overview }: { overview: Overview }) => (
  <Card title={t("overview.flow")} className="span-2">
    <div className="figures">
      <Figure
        label={t("overview.lag")}
        value={formatSpan(overview.ingest_lag_ms)}
        tone={overview.ingest_lag_ms > LAG_MS_CALM ? "c-high" : "c-ok"}
        note={t("overview.lag.note")}
      />
      <Figure
        label={t("overview.rate")}
        value={t("overview.per_second", { rate: compact(overview.events_per_second) })}
        note={t("overview.stored", { count: compact(overview.events_stored) })}
      />
      <Figure
        label={t("overview.reporting")}
        value={number(overview.vehicles.reporting_24h)}
        note={t("overview.known", { count: number(overview.vehicles.known) })}
      />
      <Figure
        label={t("overview.silent")}
        value={number(overview.vehicles.silent)}
        tone={overview.vehicles.silent > 0 ? "c-medium" : ""}
        note={t("overview.silent.note")}
      />
    </div>
  </Card>
);

function WaitingLink({ item }: { item: WaitingItem }) {
  if (item.kind === "alert")
    return (
      <Link className="clip grow" to="/alerts/$id" params={{ id: item.id }}>
        {item.title}
      </Link>
    );
  return (
    <Link className="clip grow" to="/cases/$id" params={{ id: item.case_id ?? item.id }}>
      {item.title}
    </Link>
  );
}

const Waiting = ({ overview }: { overview: Overview }) => (
  <Card title={t("overview.waiting")} flush>
    {overview.waiting.length === 0 ? (
      <Empty title={t("overview.waiting.none")} />
    ) : (
      <ul className="list">
        {overview.waiting.map((item) => (
          <li key={`${item.kind}${item.id}`}>
            <span className="tag">{word("waiting", item.kind)}</span>
            <WaitingLink item={item} />
            <span className="muted">
              <Age at={item.since} />
            </span>
          </li>
        ))}
      </ul>
    )}
  </Card>
);

const TopRules = ({ overview }: { overview: Overview }) => (
  <Card title={t("overview.top_rules")} flush>
    {overview.top_rules.length === 0 ? (
      <Empty title={t("overview.no_open")} />
    ) : (
      <ul className="list">
        {overview.top_rules.map((rule) => (
          <li key={rule.rule_id}>
            <Link className="clip grow" to="/alerts" search={{ rule: rule.rule_id }}>
              {rule.title}
            </Link>
            <span className="num">{number(rule.alerts)}</span>
          </li>
        ))}
      </ul>
    )}
  </Card>
);

const TopModels = ({ overview }: { overview: Overview }) => (
  <Card title={t("overview.top_models")} flush>
    {overview.top_models.length === 0 ? (
      <Empty title={t("overview.no_open")} />
    ) : (
      <ul className="list">
        {overview.top_models.map((model) => (
          <li key={model.model_line}>
            <Link className="clip grow" to="/alerts" search={{ model_line: model.model_line }}>
              {model.model_line}
            </Link>
            <span className="muted">{counted("overview.of_vehicles", model.vehicles)}</span>
            <span className="num">{number(model.alerts)}</span>
          </li>
        ))}
      </ul>
    )}
  </Card>
);

export function Page() {
  const query = useOverview();
  return (
    <div className="page">
      <header>
        <h1>{t("nav.overview")}</h1>
      </header>
      <Await query={query}>
        {(overview) => (
          <div className="tiles">
            <OpenAlerts overview={overview} />
            <Figures overview={overview} />
            <Card title={t("overview.chart")} className="span-4">
              <RateChart rate={overview.rate} />
            </Card>
            <div className="span-4 three-columns">
              <Waiting overview={overview} />
              <TopRules overview={overview} />
              <TopModels overview={overview} />
            </div>
          </div>
        )}
      </Await>
    </div>
  );
}
