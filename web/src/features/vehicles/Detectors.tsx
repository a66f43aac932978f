import { Link } from "@tanstack/react-router";
import { useMemo } from "react";
import type { SecurityEvent, Vehicle } from "../../api/types";
import { number, t } from "../../lib/i18n";
import { Age, Card, Scroll, SeverityMark } from "../../ui/parts";
import { Await, Empty } from "../../ui/states";
import { Comparisons } from "../alerts/Comparisons";
import { EventFields } from "../alerts/Events";
import { useRecentEvents } from "./api";
import { detectorFacts, type DetectorAlarms } from "./detectors";

type BusNames = ReadonlyMap<number, string>;
const busName = (buses: BusNames, bus: number | null | undefined): string =>
  bus == null ? "—" : (buses.get(bus) ?? t("event.bus", { bus }));

/** Bus and ECU of an event, as far as it names them. */
const place = (buses: BusNames, { bus, ecu }: SecurityEvent): string =>
  [bus == null ? "" : busName(buses, bus), ecu ?? ""]
    .filter(Boolean)
    .map((each) => `${each} ·`)
    .join(" ");

function Alarms({ vehicle, alarms, buses }: { vehicle: string; alarms: DetectorAlarms[]; buses: BusNames }) {
  return (
    <Scroll label={t("detectors.alarms")}>
      <table>
        <thead>
          <tr>
            <th>{t("detectors.detector")}</th>
            <th>{t("detectors.bus")}</th>
            <th className="num">{t("detectors.observations")}</th>
            <th className="num">{t("detectors.least_p")}</th>
            <th>{t("detectors.last")}</th>
            <th className="num">{t("queue.age")}</th>
          </tr>
        </thead>
        <tbody>
          {alarms.map(({ detector, bus, count, ppm, last }) => (
            <tr key={`${detector}${bus}`}>
              <td className="mono">{detector}</td>
              <td>{busName(buses, bus)}</td>
              <td className="num">{number(count)}</td>
              <td className="num">{ppm === undefined ? "—" : t("detectors.ppm", { ppm: number(ppm) })}</td>
              <td>
                <Link
                  to="/vehicles/$id/{-$tab}"
                  params={{ id: vehicle, tab: "timeline" }}
                  search={{ event: last.id }}
                >
                  {last.title}
                </Link>
              </td>
              <td className="num muted">
                <Age at={last.event_time} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

const States = ({ states, buses }: { states: SecurityEvent[]; buses: BusNames }) => (
  <ul className="states">
    {states.map((event) => (
      <li key={event.id}>
        <details>
          <summary>
            <SeverityMark severity={event.severity} bare /> <strong>{event.title}</strong>{" "}
            <span className="muted">
              {place(buses, event)} <Age at={event.event_time} /> {t("time.ago")}
            </span>
          </summary>
          <EventFields event={event} />
        </details>
        <Comparisons event={event} />
      </li>
    ))}
  </ul>
);

/** Which detectors of the vehicle spoke, and what sensors said of themselves. */
export function Detectors({ vehicle }: { vehicle: Vehicle }) {
  const query = useRecentEvents(vehicle.vehicle_id);
  const facts = useMemo(() => detectorFacts(query.data?.items ?? []), [query.data]);
  const buses = useMemo(
    () => new Map(vehicle.buses.map(({ bus_id, name }) => [bus_id, name] as const)),
    [vehicle.buses],
  );
  const { items = [], total = 0 } = query.data ?? {};
  return (
    <Card
      title={t("detectors.title")}
      flush
      aside={
        items.length > 0 ? (
          <span className="muted">
            {t(items.length < total ? "detectors.of_last" : "detectors.of_all", {
              count: number(items.length),
            })}
          </span>
        ) : null
      }
    >
      <Await query={query}>
        {() =>
          facts.alarms.length + facts.states.length === 0 ? (
            <Empty title={t("detectors.none")}>
              <span>{t("detectors.none.hint")}</span>
            </Empty>
          ) : (
            <>
              {facts.states.length > 0 ? <States states={facts.states} buses={buses} /> : null}
              {facts.alarms.length > 0 ? (
                <Alarms vehicle={vehicle.vehicle_id} alarms={facts.alarms} buses={buses} />
              ) : null}
            </>
          )
        }
      </Await>
    </Card>
  );
}
