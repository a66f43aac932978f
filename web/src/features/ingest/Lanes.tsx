import type { IngestHealth, LaneHealth } from "../../api/types";
import { number, t, word } from "../../lib/i18n";
import { Card, Scroll } from "../../ui/parts";
import { Empty } from "../../ui/states";
import { Bar, Legend } from "./Bar";
import type { Share } from "./share";

const numbers = (lane: LaneHealth): Share[] => [
  { part: "received", count: lane.received },
  { part: "tombstoned", count: lane.tombstoned },
  { part: "open", count: lane.open },
  { part: "overdue", count: lane.overdue },
];
const accounts = (lane: LaneHealth): Share[] => [
  { part: "balanced", count: lane.balanced },
  { part: "inexact", count: lane.inexact },
  { part: "waiting", count: lane.waiting },
  { part: "mismatched", count: lane.mismatched },
];
const all = (lanes: readonly LaneHealth[], shares: (lane: LaneHealth) => Share[]): Share[] => {
  const sums = new Map<Share["part"], number>();
  for (const { part, count } of lanes.flatMap(shares)) sums.set(part, (sums.get(part) ?? 0) + count);
  return [...sums].map(([part, count]) => ({ part, count }));
};

const LaneRow = ({ lane }: { lane: LaneHealth }) => (
  <tr>
    <td>
      <strong>{word("lane", lane.lane)}</strong>
    </td>
    <td className="share-cell">
      <Bar shares={numbers(lane)} label={word("lane", lane.lane)} />
    </td>
    <td className="num">{number(lane.received)}</td>
    <td className="num">{number(lane.folded)}</td>
    <td className="num">{number(lane.tombstoned)}</td>
    <td className={`num ${lane.open > 0 ? "c-medium" : ""}`}>{number(lane.open)}</td>
    <td className={`num ${lane.overdue > 0 ? "c-high" : ""}`}>{number(lane.overdue)}</td>
    <td className="share-cell narrow">
      <Bar shares={accounts(lane)} label={t("ingest.accounts")} />
    </td>
    <td className={`num ${lane.mismatched > 0 ? "c-critical" : ""}`}>{number(lane.mismatched)}</td>
  </tr>
);

/** What came of each lane, what is missing, and whether the accounts balance. */
export const Lanes = ({ health }: { health: IngestHealth }) => (
  <Card
    title={t("ingest.lanes")}
    aside={<span className="muted">{t("ingest.lanes.note")}</span>}
    flush
  >
    {health.vehicles === 0 ? (
      <Empty title={t("ingest.none")} />
    ) : (
      <>
        <Scroll label={t("ingest.lanes")}>
          <table>
            <thead>
              <tr>
                <th>{t("lane")}</th>
                <th>{t("ingest.numbers")}</th>
                <th className="num">{t("share.received")}</th>
                <th className="num">{t("ingest.folded")}</th>
                <th className="num">{t("share.tombstoned")}</th>
                <th className="num">{t("share.open")}</th>
                <th className="num">{t("share.overdue")}</th>
                <th>{t("ingest.accounts")}</th>
                <th className="num">{t("share.mismatched")}</th>
              </tr>
            </thead>
            <tbody>
              {health.lanes.map((lane) => (
                <LaneRow key={lane.lane} lane={lane} />
              ))}
            </tbody>
          </table>
        </Scroll>
        <div className="note row wrap between">
          <Legend shares={all(health.lanes, numbers)} />
          <Legend shares={all(health.lanes, accounts)} />
        </div>
      </>
    )}
  </Card>
);
