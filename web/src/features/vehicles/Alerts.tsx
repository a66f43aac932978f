import { Link } from "@tanstack/react-router";
import { number, t } from "../../lib/i18n";
import { Age, Card, Scroll, SeverityMark, StatusTag } from "../../ui/parts";
import { Await, Empty } from "../../ui/states";
import { useAlerts } from "../alerts/api";

/** Alerts in which this vehicle was seen, open ones and closed ones. */
export function VehicleAlerts({ id }: { id: string }) {
  const query = useAlerts({ vehicle: id, status: "new,acknowledged,closed", sort: "-last_at" });
  return (
    <Card
      title={t("vehicle.alerts")}
      flush
      aside={
        <Link to="/alerts" search={{ vehicle: id }}>
          {t("vehicle.alerts.queue")}
        </Link>
      }
    >
      <Await query={query}>
        {(data) => {
          const alerts = data.pages.flatMap((page) => page.items);
          if (alerts.length === 0) return <Empty title={t("vehicle.alerts.none")} />;
          return (
            <Scroll label={t("vehicle.alerts")}>
              <table>
                <thead>
                  <tr>
                    <th>{t("queue.severity")}</th>
                    <th>{t("queue.alert")}</th>
                    <th>{t("queue.status")}</th>
                    <th className="num">{t("queue.events")}</th>
                    <th className="num">{t("queue.age")}</th>
                  </tr>
                </thead>
                <tbody>
                  {alerts.map((alert) => (
                    <tr key={alert.id}>
                      <td>
                        <SeverityMark severity={alert.severity} />
                      </td>
                      <td>
                        <Link to="/alerts/$id" params={{ id: alert.id }}>
                          {alert.title}
                        </Link>
                      </td>
                      <td>
                        <StatusTag prefix="status" status={alert.status} />
                      </td>
                      <td className="num">{number(alert.event_count)}</td>
                      <td className="num muted">
                        <Age at={alert.last_at} />
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </Scroll>
          );
        }}
      </Await>
    </Card>
  );
}
