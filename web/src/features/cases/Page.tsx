import { Link, useParams } from "@tanstack/react-router";
import { useMemo } from "react";
import type { Case } from "../../api/types";
import { ActionButton, usePublish } from "../../app/actions/context";
import { counted, number, t, word } from "../../lib/i18n";
import { Age, Card, SeverityMark, StatusTag, Tag, Time } from "../../ui/parts";
import { Await, Empty } from "../../ui/states";
import { useCase } from "./api";
import { Evidence } from "./Evidence";

function Alerts({ item }: { item: Case }) {
  return (
    <Card title={t("case.alerts", { count: number(item.alerts.length) })} flush>
      {item.alerts.length === 0 ? (
        <Empty title={t("case.alerts.none")} />
      ) : (
        <ul className="list">
          {item.alerts.map((alert) => (
            <li key={alert.id}>
              <SeverityMark severity={alert.severity} bare />
              <Link className="clip grow" to="/alerts/$id" params={{ id: alert.id }}>
                {alert.title}
              </Link>
              <span className="muted">{counted("case.alert_vehicles", alert.vehicle_count)}</span>
              <StatusTag prefix="status" status={alert.status} />
              <span className="muted">
                <Age at={alert.last_at} />
              </span>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

function Vehicles({ item }: { item: Case }) {
  return (
    <Card title={t("case.vehicles", { count: number(item.vehicle_count) })} flush>
      {item.vehicles.length === 0 ? (
        <Empty title={t("case.vehicles.none")} />
      ) : (
        <ul className="list limited scroll" tabIndex={0} aria-label={t("alert.vehicles.label")}>
          {item.vehicles.map((vehicle) => (
            <li key={vehicle.vehicle_id}>
              <Link
                className="mono"
                to="/vehicles/$id/{-$tab}"
                params={{ id: vehicle.vehicle_id, tab: undefined }}
                title={vehicle.vehicle_id}
              >
                {vehicle.vehicle_id.slice(0, 12)}
              </Link>
              <span className="grow clip muted">
                {[vehicle.model_line, vehicle.region, vehicle.release].filter(Boolean).join(" · ")}
              </span>
              <span className="muted">{word("connectivity", vehicle.connectivity)}</span>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

function Timeline({ item }: { item: Case }) {
  return (
    <Card title={t("case.timeline")} aside={<ActionButton id="case.note" className="small" />}>
      <ol className="timeline">
        {item.timeline.map((entry, index) => (
          <li key={index}>
            <span className="muted">
              <Time at={entry.at} short />
            </span>
            <span className="dot" />
            <span>
              <Tag>{word("timeline", entry.kind)}</Tag> <span className="note-text">{entry.text}</span>{" "}
              <span className="muted">{t("by", { who: entry.by })}</span>
            </span>
          </li>
        ))}
      </ol>
    </Card>
  );
}

function Body({ item }: { item: Case }) {
  const handle = useMemo(() => ({ case: item }), [item]);
  usePublish("case", handle);
  return (
    <>
      <header className="case-head">
        <div className="stack">
          <div className="row wrap">
            <SeverityMark severity={item.severity} />
            <StatusTag prefix="case_status" status={item.status} />
            {item.disposition ? <Tag>{word("disposition", item.disposition)}</Tag> : null}
            <span className="muted">
              {t("case.opened", { who: item.created_by })} <Time at={item.created_at} />
            </span>
            <span className="muted">
              {item.owner ? t("alert.owned", { owner: item.owner }) : t("alert.unowned")}
            </span>
          </div>
          <h1>{item.title}</h1>
        </div>
        <div className="row">
          <ActionButton id="case.note" />
          <ActionButton id="case.close" />
        </div>
      </header>
      <div className="two-columns">
        <div className="stack loose">
          <Evidence requests={item.evidence} />
          <Timeline item={item} />
        </div>
        <div className="stack loose">
          <Alerts item={item} />
          <Vehicles item={item} />
        </div>
      </div>
    </>
  );
}

export function Page() {
  const { id } = useParams({ from: "/cases/$id" });
  const query = useCase(id);
  return (
    <div className="page">
      <Await query={query}>{(item) => <Body item={item} />}</Await>
    </div>
  );
}
