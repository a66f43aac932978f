import { Link } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import type { Alert, AlertDetail } from "../../api/types";
import { ActionButton, usePublish } from "../../app/actions/context";
import { number, t, word } from "../../lib/i18n";
import { Age, Card, SeverityMark, StatusTag, Tag, Time, TimeRange } from "../../ui/parts";
import { Loading, Problem } from "../../ui/states";
import { cachedAlert, useAlert } from "./api";
import { Events } from "./Events";
import { Why } from "./Why";

function Head({ alert, full }: { alert: Alert; full: boolean }) {
  return (
    <header className="alert-head">
      <div className="row wrap">
        <SeverityMark severity={alert.severity} />
        <StatusTag prefix="status" status={alert.status} />
        {alert.disposition ? <Tag>{word("disposition", alert.disposition)}</Tag> : null}
        {alert.late ? (
          <Tag tone="warn" title={t("alert.late.hint")}>
            {t("alert.late")}
          </Tag>
        ) : null}
        <span className="muted">{t("alert.revision", { revision: alert.revision })}</span>
        <span className="muted">
          {alert.owner ? t("alert.owned", { owner: alert.owner }) : t("alert.unowned")}
        </span>
        {alert.case_id ? (
          <Link to="/cases/$id" params={{ id: alert.case_id }}>
            {t("alert.case")}
          </Link>
        ) : null}
      </div>
      {full ? <h1>{alert.title}</h1> : <h2 className="alert-title">{alert.title}</h2>}
      <dl className="facts inline">
        <div>
          <dt>{t("alert.first")}</dt>
          <dd>
            <Time at={alert.first_at} />
          </dd>
        </div>
        <div>
          <dt>{t("alert.last")}</dt>
          <dd>
            <Time at={alert.last_at} />
          </dd>
        </div>
        <div>
          <dt>{t("alert.detected")}</dt>
          <dd>
            <Age at={alert.detected_at} /> {t("time.ago")}
          </dd>
        </div>
        <div>
          <dt>{t("queue.vehicles")}</dt>
          <dd>{number(alert.vehicle_count)}</dd>
        </div>
        <div>
          <dt>{t("queue.events")}</dt>
          <dd>{number(alert.event_count)}</dd>
        </div>
      </dl>
      <div className="row wrap">
        {alert.status === "closed" ? (
          <ActionButton id="alert.reopen" className="small" />
        ) : (
          <>
            <ActionButton id="alert.acknowledge" className="small" primary />
            <ActionButton id="alert.close" className="small" />
          </>
        )}
        <ActionButton id="alert.open_case" className="small" />
        <ActionButton id="alert.add_to_case" className="small" />
        <ActionButton id="alert.evidence" className="small" />
      </div>
    </header>
  );
}

function Vehicles({ alert }: { alert: AlertDetail }) {
  return (
    <Card title={t("alert.vehicles", { count: number(alert.vehicle_count) })} flush>
      <div className="scroll limited" tabIndex={0} role="region" aria-label={t("alert.vehicles.label")}>
        <table>
          <thead>
            <tr>
              <th>{t("vehicle.id")}</th>
              <th>{t("vehicle.model")}</th>
              <th>{t("vehicle.region")}</th>
              <th>{t("vehicle.release")}</th>
              <th className="num">{t("queue.events")}</th>
            </tr>
          </thead>
          <tbody>
            {alert.vehicles.map((vehicle) => (
              <tr key={vehicle.vehicle_id}>
                <td>
                  <Link
                    className="mono"
                    to="/vehicles/$id/{-$tab}"
                    params={{ id: vehicle.vehicle_id, tab: undefined }}
                    title={vehicle.vehicle_id}
                  >
                    {vehicle.vehicle_id.slice(0, 12)}
                  </Link>
                </td>
                <td>{vehicle.model_line ?? "—"}</td>
                <td>{vehicle.region ?? "—"}</td>
                <td>{vehicle.release ?? "—"}</td>
                <td className="num">{number(vehicle.events)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {alert.vehicle_count > alert.vehicles.length ? (
        <p className="muted note">
          {t("alert.vehicles.more", {
            shown: number(alert.vehicles.length),
            total: number(alert.vehicle_count),
          })}
        </p>
      ) : null}
    </Card>
  );
}

function Findings({ alert }: { alert: AlertDetail }) {
  return (
    <Card title={t("alert.findings", { count: number(alert.finding_count) })} flush>
      <div className="scroll limited" tabIndex={0} role="region" aria-label={t("alert.findings.label")}>
        <table>
          <thead>
            <tr>
              <th>{t("alert.window")}</th>
              <th className="num">{t("alert.value")}</th>
              <th className="num">{t("queue.vehicles")}</th>
              <th className="num">{t("alert.revision.short")}</th>
            </tr>
          </thead>
          <tbody>
            {alert.findings.map((finding) => (
              <tr key={finding.id}>
                <td>
                  <TimeRange from={finding.window_from} to={finding.window_to} />{" "}
                  {finding.late ? <Tag tone="warn">{t("alert.late")}</Tag> : null}
                </td>
                <td className="num">{number(finding.value)}</td>
                <td className="num">{number(finding.vehicle_count)}</td>
                <td className="num">{finding.revision}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Card>
  );
}

function History({ alert }: { alert: AlertDetail }) {
  return (
    <Card title={t("alert.history")}>
      {alert.history.length === 0 ? (
        <p className="muted">{t("alert.history.none")}</p>
      ) : (
        <ol className="timeline">
          {alert.history.map((entry, index) => (
            <li key={index}>
              <span className="muted">
                <Time at={entry.at} short />
              </span>
              <span className="dot" />
              <span>
                {word("history", entry.action)} <span className="muted">{t("by", { who: entry.by })}</span>
                {entry.note ? <p>{entry.note}</p> : null}
              </span>
            </li>
          ))}
        </ol>
      )}
    </Card>
  );
}

function Similar({ alert }: { alert: AlertDetail }) {
  if (alert.similar.length === 0) return null;
  return (
    <Card title={t("alert.similar")} flush>
      <ul className="list">
        {alert.similar.map((each) => (
          <li key={each.id}>
            <SeverityMark severity={each.severity} bare />
            <Link className="clip grow" to="/alerts/$id" params={{ id: each.id }}>
              {each.title}
            </Link>
            <StatusTag prefix="status" status={each.status} />
            <span className="muted">
              <Age at={each.last_at} />
            </span>
          </li>
        ))}
      </ul>
    </Card>
  );
}

/** Everything about one alert: why it fired first. */
export function Detail({ id, full = false }: { id: string; full?: boolean }) {
  const query = useAlert(id);
  const [eventId, setEventId] = useState<string>();
  const alert = query.data;
  const event = alert?.evidence_events.find((each) => each.id === eventId) ?? alert?.evidence_events[0];
  const handle = useMemo(() => alert && { alert, event, full }, [alert, event, full]);
  usePublish("alert", handle);
  if (!alert) {
    const known = cachedAlert(id);
    return (
      <>
        {known ? <Head alert={known} full={full} /> : null}
        {query.error ? <Problem error={query.error} retry={query.refetch} /> : <Loading />}
      </>
    );
  }
  return (
    <article className={`alert-detail ${full ? "full" : ""}`}>
      <Head alert={alert} full={full} />
      <div className="column">
        <Why alert={alert} />
        <Events
          events={alert.evidence_events}
          total={alert.event_count}
          chosen={event?.id}
          choose={setEventId}
        />
      </div>
      <div className="column">
        <Vehicles alert={alert} />
        <Findings alert={alert} />
        <History alert={alert} />
        <Similar alert={alert} />
      </div>
    </article>
  );
}
