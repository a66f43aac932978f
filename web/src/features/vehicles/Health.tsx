import type { Vehicle } from "../../api/types";
import { number, t, word } from "../../lib/i18n";
import { formatError } from "../../lib/time";
import { Age, Card, Scroll, StatusTag, Tag } from "../../ui/parts";
import { Empty } from "../../ui/states";
import { Detectors } from "./Detectors";
import { Sensors } from "./Sensors";

function Lanes({ vehicle }: { vehicle: Vehicle }) {
  return (
    <Card title={t("vehicle.lanes")} flush>
      {vehicle.lanes.length === 0 ? (
        <Empty title={t("vehicle.lanes.none")} />
      ) : (
        <Scroll label={t("vehicle.lanes")}>
          <table>
            <thead>
              <tr>
                <th>{t("lane")}</th>
                <th>{t("vehicle.epoch")}</th>
                <th className="num">{t("vehicle.contiguous")}</th>
                <th className="num">{t("vehicle.highest")}</th>
                <th className="num">{t("vehicle.missing")}</th>
                <th className="num">{t("vehicle.dropped")}</th>
              </tr>
            </thead>
            <tbody>
              {vehicle.lanes.map((lane) => (
                <tr key={`${lane.lane}${lane.epoch}`}>
                  <td>{word("lane", lane.lane)}</td>
                  <td className="mono">{lane.epoch}</td>
                  <td className="num">{number(lane.contiguous_seq)}</td>
                  <td className="num">{number(lane.highest_seq)}</td>
                  <td className={`num ${lane.highest_seq > lane.contiguous_seq ? "c-high" : ""}`}>
                    {number(lane.highest_seq - lane.contiguous_seq)}
                  </td>
                  <td className={`num ${lane.dropped > 0 ? "c-high" : ""}`}>{number(lane.dropped)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
    </Card>
  );
}

const Gaps = ({ vehicle }: { vehicle: Vehicle }) => (
  <Card title={t("vehicle.gaps")} flush>
    {vehicle.gaps.length === 0 ? (
      <Empty title={t("vehicle.gaps.none")} />
    ) : (
      <table>
        <thead>
          <tr>
            <th>{t("lane")}</th>
            <th>{t("vehicle.epoch")}</th>
            <th className="num">{t("vehicle.gap.from")}</th>
            <th className="num">{t("vehicle.gap.to")}</th>
            <th>{t("queue.status")}</th>
            <th className="num">{t("queue.age")}</th>
          </tr>
        </thead>
        <tbody>
          {vehicle.gaps.map((gap) => (
            <tr key={`${gap.lane}${gap.epoch}${gap.from_seq}`}>
              <td>{word("lane", gap.lane)}</td>
              <td className="mono">{gap.epoch}</td>
              <td className="num">{number(gap.from_seq)}</td>
              <td className="num">{number(gap.to_seq)}</td>
              <td>
                <StatusTag prefix="gap" status={gap.state} />
              </td>
              <td className="num muted">
                <Age at={gap.since} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    )}
  </Card>
);

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

/** What the detectors say, what arrived, what is missing, how far the clock can be trusted, what software runs. */
export const VehicleHealth = ({ vehicle }: { vehicle: Vehicle }) => (
  <div className="stack loose">
    <Sensors vehicle={vehicle} />
    <Detectors vehicle={vehicle} />
    <div className="two-columns">
      <div className="stack loose">
        <Lanes vehicle={vehicle} />
        <Gaps vehicle={vehicle} />
      </div>
      <div className="stack loose">
        <ClockCard vehicle={vehicle} />
        <Software vehicle={vehicle} />
      </div>
    </div>
  </div>
);
