import type { SensorState, Vehicle } from "../../api/types";
import { number, t } from "../../lib/i18n";
import { Age, Card, Scroll } from "../../ui/parts";
import { Empty } from "../../ui/states";
import { isOverBudget } from "./sensors";

const Row = ({ state, bus }: { state: SensorState; bus: string }) => (
  <tr>
    <td className="mono">{state.sensor}</td>
    <td>{bus}</td>
    <td>{state.mode}</td>
    <td className="num">{number(state.frames)}</td>
    <td className={`num ${isOverBudget(state) ? "c-high" : ""}`}>
      {state.alarm_budget_per_hour == null
        ? number(state.alarms)
        : t("sensors.of_budget", {
            alarms: number(state.alarms),
            budget: number(state.alarm_budget_per_hour),
          })}
    </td>
    <td className={`num ${state.dropped > 0 ? "c-high" : ""}`}>{number(state.dropped)}</td>
    <td className="num">{t("sensors.minutes", { count: number(Math.round(state.span_s / 60)) })}</td>
    <td className="num muted">
      <Age at={state.as_of} />
    </td>
  </tr>
);

/** What each sensor last said of itself: what it judges by, how much it saw, and its alarm budget. */
export function Sensors({ vehicle }: { vehicle: Vehicle }) {
  const buses = new Map(vehicle.buses.map(({ bus_id, name }) => [bus_id, name] as const));
  return (
    <Card title={t("sensors.title")} flush>
      {vehicle.sensors.length === 0 ? (
        <Empty title={t("sensors.none")}>
          <span>{t("sensors.none.hint")}</span>
        </Empty>
      ) : (
        <Scroll label={t("sensors.title")}>
          <table>
            <thead>
              <tr>
                <th>{t("sensors.sensor")}</th>
                <th>{t("detectors.bus")}</th>
                <th>{t("sensors.mode")}</th>
                <th className="num">{t("sensors.frames")}</th>
                <th className="num">{t("sensors.alarms")}</th>
                <th className="num">{t("vehicle.dropped")}</th>
                <th className="num">{t("sensors.span")}</th>
                <th className="num">{t("queue.age")}</th>
              </tr>
            </thead>
            <tbody>
              {vehicle.sensors.map((state) => (
                <Row
                  key={`${state.sensor}${state.bus_id ?? ""}`}
                  state={state}
                  bus={
                    state.bus_id == null
                      ? "—"
                      : (buses.get(state.bus_id) ?? t("event.bus", { bus: state.bus_id }))
                  }
                />
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
    </Card>
  );
}
