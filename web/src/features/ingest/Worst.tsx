import { Link } from "@tanstack/react-router";
import type { IngestHealth } from "../../api/types";
import { number, shortId, t } from "../../lib/i18n";
import { Age, Card, Scroll } from "../../ui/parts";
import { Empty } from "../../ui/states";

/** The vehicles of which most is missing; each leads to its own account. */
export const Worst = ({ health: { worst } }: { health: IngestHealth }) => (
  <Card title={t("ingest.worst")} aside={<span className="muted">{t("ingest.worst.note")}</span>} flush>
    {worst.length === 0 ? (
      <Empty title={t("ingest.worst.none")} />
    ) : (
      <Scroll label={t("ingest.worst")}>
        <table>
          <thead>
            <tr>
              <th>{t("vehicle.id")}</th>
              <th className="num">{t("share.overdue")}</th>
              <th className="num">{t("share.open")}</th>
              <th className="num">{t("share.tombstoned")}</th>
              <th className="num">{t("ingest.findings")}</th>
              <th className="num">{t("vehicle.last_seen")}</th>
            </tr>
          </thead>
          <tbody>
            {worst.map((each) => (
              <tr key={each.vehicle_id}>
                <td>
                  <Link
                    className="mono"
                    to="/vehicles/$id/{-$tab}"
                    params={{ id: each.vehicle_id, tab: "completeness" }}
                    title={each.vehicle_id}
                  >
                    {shortId(each.vehicle_id)}
                  </Link>
                </td>
                <td className={`num ${each.overdue > 0 ? "c-high" : ""}`}>{number(each.overdue)}</td>
                <td className={`num ${each.open > 0 ? "c-medium" : ""}`}>{number(each.open)}</td>
                <td className="num">{number(each.tombstoned)}</td>
                <td className={`num ${each.findings > 0 ? "c-critical" : ""}`}>{number(each.findings)}</td>
                <td className="num muted">
                  <Age at={each.last_contact} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    )}
  </Card>
);
