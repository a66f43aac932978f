import type { Vehicle } from "../../api/types";
import { number, t, word } from "../../lib/i18n";
import { formatError } from "../../lib/time";
import { Card, Tag } from "../../ui/parts";
import { Empty } from "../../ui/states";
import { Detectors } from "./Detectors";
import { Identity } from "./Identity";
import { Reveal } from "./Reveal";
import { Sensors } from "./Sensors";

function ClockCard({ vehicle: { clock, capabilities } }: { vehicle: Vehicle }) {
  return (
    <Card title={t("vehicle.clock")}>
      <dl className="facts">
        <dt>{t("vehicle.clock.source")}</dt>
        <dd>{word("clock", clock.source)}</dd>
        <dt>{t("vehicle.clock.error")}</dt>
        <dd>{clock.error_us == null ? "—" : formatError(clock.error_us)}</dd>
        <dt>{t("vehicle.clock.refused")}</dt>
        <dd>{number(clock.refused_fixes)}</dd>
        <dt>{t("vehicle.capabilities")}</dt>
        <dd className="row wrap">
          {capabilities.length === 0 ? "—" : capabilities.map((each) => <Tag key={each}>{each}</Tag>)}
        </dd>
      </dl>
    </Card>
  );
}

/** Software by ECU, for those that said what they run. */
const Software = ({ vehicle }: { vehicle: Vehicle }) => (
  <Card title={t("vehicle.software")} flush>
    {vehicle.ecus.length === 0 ? (
      <Empty title={t("vehicle.no_ecu")} />
    ) : (
      <table>
        <thead>
          <tr>
            <th>{t("vehicle.ecu")}</th>
            <th>{t("vehicle.software")}</th>
          </tr>
        </thead>
        <tbody>
          {vehicle.ecus.map((ecu) => (
            <tr key={ecu.ecu_id}>
              <td>{ecu.name}</td>
              <td className="mono">{ecu.software ?? "—"}</td>
            </tr>
          ))}
        </tbody>
      </table>
    )}
  </Card>
);

/** What the detectors say, how far the clock can be trusted, what software runs. */
export const VehicleHealth = ({ vehicle }: { vehicle: Vehicle }) => (
  <div className="stack loose">
    <Sensors vehicle={vehicle} />
    <Detectors vehicle={vehicle} />
    <div className="two-columns">
      <Software vehicle={vehicle} />
      <ClockCard vehicle={vehicle} />
    </div>
    <Identity id={vehicle.vehicle_id} />
    <Reveal id={vehicle.vehicle_id} />
  </div>
);
