import type { SensorState, Vehicle } from "../../api/types";
import { number, t } from "../../lib/i18n";
import { Age, Card, Scroll } from "../../ui/parts";
import { Empty } from "../../ui/states";
import { type Account, accountOf, detectorOf, inOrder, isOverBudget, isService } from "./sensors";

type Key = Parameters<typeof t>[0];

const ACCOUNTS: Record<Account, { tone: string; text: Key; hint: Key }> = {
  within: { tone: "", text: "sensors.account.within", hint: "sensors.account.within.hint" },
  spent: { tone: "c-medium", text: "sensors.account.spent", hint: "sensors.account.spent.hint" },
  demoted: { tone: "c-high", text: "sensors.account.demoted", hint: "sensors.account.demoted.hint" },
};

const Left = ({ state }: { state: SensorState }) => {
  const account = accountOf(state);
  if (account === null) return <>—</>;
  const { tone, text, hint } = ACCOUNTS[account];
  return (
    <span className={tone} title={t(hint)}>
      {t(text, { left: number(state.budget_left ?? 0) })}
    </span>
  );
};

const count = (value: number | null | undefined) => (value == null ? "—" : number(value));

const Row = ({ state, bus }: { state: SensorState; bus: string }) => {
  const detector = detectorOf(state);
  return (
    <tr>
      <td className="mono">
        {detector === null ? (
          state.sensor
        ) : (
          <>
            <span className="muted">{state.sensor.slice(0, -detector.length)}</span>
            {detector}
          </>
        )}
      </td>
      <td>{bus}</td>
      <td className={isService(state.operating_mode) ? "c-medium" : ""}>{state.operating_mode ?? "—"}</td>
      <td>{state.mode}</td>
      <td className="num">{detector === null ? number(state.frames) : "—"}</td>
      <td className={`num ${isOverBudget(state) ? "c-high" : ""}`}>
        {state.alarm_budget_per_hour == null
          ? number(state.alarms)
          : t("sensors.of_budget", {
              alarms: number(state.alarms),
              budget: number(state.alarm_budget_per_hour),
            })}
      </td>
      <td>
        <Left state={state} />
      </td>
      <td className={`num ${state.withheld ? "c-medium" : ""}`}>{count(state.withheld)}</td>
      <td className="num">{count(state.gated)}</td>
      <td className={`num ${state.dropped > 0 ? "c-high" : ""}`}>
        {detector === null ? number(state.dropped) : "—"}
      </td>
      <td className="num">{t("sensors.minutes", { count: number(Math.round(state.span_s / 60)) })}</td>
      <td className="num muted">
        <Age at={state.as_of} />
      </td>
    </tr>
  );
};

/** What each sensor last said of itself: operating mode, what it judges by, how much it saw, and its alarm budget. */
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
                <th title={t("sensors.operating.hint")}>{t("sensors.operating")}</th>
                <th>{t("sensors.mode")}</th>
                <th className="num">{t("sensors.frames")}</th>
                <th className="num">{t("sensors.alarms")}</th>
                <th title={t("sensors.left.hint")}>{t("sensors.left")}</th>
                <th className="num" title={t("sensors.withheld.hint")}>
                  {t("sensors.withheld")}
                </th>
                <th className="num" title={t("sensors.gated.hint")}>
                  {t("sensors.gated")}
                </th>
                <th className="num">{t("vehicle.dropped")}</th>
                <th className="num">{t("sensors.span")}</th>
                <th className="num">{t("queue.age")}</th>
              </tr>
            </thead>
            <tbody>
              {inOrder(vehicle.sensors).map((state) => (
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
