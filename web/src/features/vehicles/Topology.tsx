import type { Ecu, Vehicle } from "../../api/types";
import { compact, number, t } from "../../lib/i18n";
import { SeverityMark } from "../../ui/parts";
import { Empty } from "../../ui/states";
import { lanes, type Lane } from "./layout";

const bitrate = (kbit: number): string =>
  kbit < 1000
    ? t("vehicle.bitrate", { rate: number(kbit) })
    : t("vehicle.bitrate_mega", { rate: number(kbit / 1000) });

const EcuCard = ({ ecu }: { ecu: Ecu }) => (
  <li className="ecu" data-severity={ecu.worst_severity ?? undefined}>
    <div className="row between">
      <strong className="clip" title={ecu.name}>
        {ecu.name}
      </strong>
      {ecu.worst_severity ? <SeverityMark severity={ecu.worst_severity} bare /> : null}
    </div>
    <div className="mono muted clip" title={ecu.software ?? undefined}>
      {ecu.software ?? t("vehicle.no_software")}
    </div>
    <div className="muted">{t("vehicle.events_24h", { count: compact(ecu.events_24h) })}</div>
  </li>
);

const BusLane = ({ lane }: { lane: Lane }) => (
  <section
    className="bus-lane"
    aria-label={lane.bus?.name ?? t("vehicle.no_bus")}
    data-severity={lane.bus?.worst_severity ?? undefined}
  >
    <header>
      <h2>{lane.bus?.name ?? t("vehicle.no_bus")}</h2>
      {lane.bus ? (
        <>
          <span className="muted">
            {lane.bus.kind.toUpperCase()}
            {lane.bus.bitrate_kbit ? ` · ${bitrate(lane.bus.bitrate_kbit)}` : ""}
          </span>
          <span className="muted">{t("vehicle.events_24h", { count: compact(lane.bus.events_24h) })}</span>
          {lane.bus.worst_severity ? <SeverityMark severity={lane.bus.worst_severity} /> : null}
        </>
      ) : null}
    </header>
    <ul className="ecus">
      {lane.ecus.map((ecu) => (
        <EcuCard key={ecu.ecu_id} ecu={ecu} />
      ))}
    </ul>
    {lane.ecus.length === 0 ? <p className="muted">{t("vehicle.no_ecu")}</p> : null}
  </section>
);

/** Bus lanes on the gateway's spine, worst first, with the ECUs on each. */
export function Topology({ vehicle }: { vehicle: Vehicle }) {
  const all = lanes(vehicle);
  if (all.length === 0) return <Empty title={t("vehicle.no_topology")} />;
  return (
    <div className="topology">
      <div className="spine">{t("vehicle.gateway")}</div>
      <div className="lanes">
        {all.map((lane) => (
          <BusLane key={lane.bus?.bus_id ?? "none"} lane={lane} />
        ))}
      </div>
    </div>
  );
}
