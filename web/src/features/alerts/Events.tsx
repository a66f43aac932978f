import { Link } from "@tanstack/react-router";
import type { SecurityEvent } from "../../api/types";
import { number, t } from "../../lib/i18n";
import { formatError, fraction } from "../../lib/time";
import { Card, SeverityMark, Tag, Time } from "../../ui/parts";
import { Empty } from "../../ui/states";
import { Comparisons } from "./Comparisons";

const where = ({ bus, ecu }: SecurityEvent): string =>
  [bus == null ? "" : t("event.bus", { bus }), ecu == null ? "" : t("event.ecu", { ecu })]
    .filter(Boolean)
    .join(" · ");

const show = (value: unknown): string => (typeof value === "string" ? value : (JSON.stringify(value) ?? ""));

/** All fields of one event, as the vehicle sent them. */
export function EventFields({ event }: { event: SecurityEvent }) {
  return (
    <dl className="facts event-fields">
      {Object.entries(event.fields).map(([name, field]) => (
        <div key={name} className="pair">
          <dt className="mono">{name}</dt>
          <dd className="mono">
            {show(field.value)}
            {field.unit ? <span className="muted"> {field.unit}</span> : null}
          </dd>
        </div>
      ))}
      {event.context_hex ? (
        <div className="pair">
          <dt>{t("event.context")}</dt>
          <dd className="mono">{event.context_hex.replace(/(..)(?=.)/g, "$1 ")}</dd>
        </div>
      ) : null}
      <div className="pair">
        <dt>{t("event.id")}</dt>
        <dd className="mono">{event.id}</dd>
      </div>
      <div className="pair">
        <dt>{t("event.ingested")}</dt>
        <dd>
          <Time at={event.ingest_time} />
        </dd>
      </div>
    </dl>
  );
}

type Props = {
  events: readonly SecurityEvent[];
  chosen: string | undefined;
  choose(id: string): void;
  hideVehicle?: boolean;
};

/** Events as a list of which one is open; the open one is what "request evidence" means. */
export function EventList({ events, chosen, choose, hideVehicle }: Props) {
  return (
    <ul className="event-list">
      {events.map((event) => (
        <li key={event.id} data-open={event.id === chosen || undefined}>
          <button
            type="button"
            className="event-line"
            aria-expanded={event.id === chosen}
            onClick={() => choose(event.id)}
          >
            <SeverityMark severity={event.severity} bare />
            <span className="mono muted">
              <Time at={event.event_time} short />
              {fraction(event.event_time).slice(0, 4)}
            </span>
            <span className="clip grow">
              {event.title}
              {event.count > 1 ? <span className="muted"> ×{number(event.count)}</span> : null}
            </span>
            {event.late ? <Tag tone="warn">{t("alert.late")}</Tag> : null}
            <span className="muted clip">{where(event)}</span>
          </button>
          {event.id === chosen ? (
            <div className="event-body">
              <div className="row wrap muted">
                <span className="mono">{event.event_type}</span>
                <span>{t("event.error", { error: formatError(event.event_time_error_us) })}</span>
                <span>{t("event.lane", { lane: event.lane })}</span>
                {hideVehicle ? null : (
                  <Link
                    className="mono"
                    to="/vehicles/$id/{-$tab}"
                    params={{ id: event.vehicle_id, tab: "timeline" }}
                  >
                    {event.vehicle_id.slice(0, 12)}
                  </Link>
                )}
              </div>
              <Comparisons event={event} />
              <EventFields event={event} />
            </div>
          ) : null}
        </li>
      ))}
    </ul>
  );
}

/** The evidence events of an alert. */
export function Events({ events, total, chosen, choose }: Props & { total: number }) {
  return (
    <Card title={t("alert.events", { shown: number(events.length), total: number(total) })} flush>
      {events.length === 0 ? (
        <Empty title={t("alert.events.none")} />
      ) : (
        <EventList events={events} chosen={chosen} choose={choose} />
      )}
    </Card>
  );
}
