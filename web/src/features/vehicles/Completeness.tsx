import type { Completeness, LaneAccount, SecurityEvent, Vehicle } from "../../api/types";
import { number, t, word } from "../../lib/i18n";
import { formatSpan } from "../../lib/time";
import { Age, Card, Scroll, SeverityMark, StatusTag, Tag, Time, type Tone } from "../../ui/parts";
import { Await, Empty } from "../../ui/states";
import { useCompleteness } from "../ingest/api";
import { Bar, Legend } from "../ingest/Bar";
import type { Share } from "../ingest/share";
import { Boots } from "./Boots";

const numbers = (lane: LaneAccount): Share[] => [
  { part: "received", count: lane.received },
  { part: "tombstoned", count: lane.tombstoned },
  { part: "open", count: lane.open },
  { part: "overdue", count: lane.overdue },
];

const STATE_TONES: Record<LaneAccount["state"], Tone> = {
  balanced: "ok",
  waiting: "warn",
  inexact: "plain",
  mismatch: "bad",
  closed: "plain",
};

/** The sum in words: what was counted, and what it consists of. */
const Sum = ({ lane }: { lane: LaneAccount }) => (
  <span className="account">
    {number(lane.received)} <span className="muted">{t("account.rows")}</span> + {number(lane.folded)}{" "}
    <span className="muted">{t("account.folded")}</span> + {number(lane.tombstoned_observations)}{" "}
    <span className="muted">{t("account.tombstoned")}</span> + {number(lane.unnumbered)}{" "}
    <span className="muted">{t("account.unnumbered")}</span> ={" "}
    {number(lane.received + lane.folded + lane.tombstoned_observations + lane.unnumbered)}{" "}
    <span className="muted">
      {lane.counted == null ? t("account.uncounted") : t("account.of", { count: number(lane.counted) })}
    </span>
  </span>
);

const Oddities = ({ lane }: { lane: LaneAccount }) => (
  <>
    {lane.difference ? <Tag tone="bad">{t("account.off", { count: number(lane.difference) })}</Tag> : null}
    {lane.end_seq != null && lane.highest_seq > lane.end_seq ? (
      <Tag tone="bad">{t("account.above_end", { end: number(lane.end_seq) })}</Tag>
    ) : null}
    {lane.unreadable > 0 ? <Tag tone="warn">{t("account.unreadable", { count: number(lane.unreadable) })}</Tag> : null}
    {lane.late > 0 ? <Tag>{t("account.late", { count: number(lane.late) })}</Tag> : null}
    {lane.kept > 0 ? <Tag>{t("account.kept", { count: number(lane.kept) })}</Tag> : null}
  </>
);

const Account = ({ lane }: { lane: LaneAccount }) => (
  <li className="lane-account">
    <div className="row wrap between">
      <span className="row wrap">
        <strong>{word("lane", lane.lane)}</strong>
        <span className="muted">{t("account.boot", { epoch: lane.epoch })}</span>
        <Tag tone={STATE_TONES[lane.state]}>{t(`account.state.${lane.state}`)}</Tag>
        <Oddities lane={lane} />
      </span>
      <span className="muted">
        {t("account.numbers", { highest: number(lane.highest_seq), contiguous: number(lane.contiguous_seq) })}
      </span>
    </div>
    <Bar shares={numbers(lane)} label={`${word("lane", lane.lane)}, ${t("account.boot", { epoch: lane.epoch })}`} />
    <div className="row wrap between">
      <Legend shares={numbers(lane)} />
      {lane.state === "closed" ? null : <Sum lane={lane} />}
    </div>
  </li>
);

const Accounts = ({ lanes }: { lanes: readonly LaneAccount[] }) => (
  <Card title={t("account.title")} aside={<span className="muted">{t("account.note")}</span>}>
    {lanes.length === 0 ? (
      <Empty title={t("vehicle.lanes.none")} />
    ) : (
      <ul className="lane-accounts">
        {lanes.map((lane) => (
          <Account key={`${lane.epoch}${lane.lane}`} lane={lane} />
        ))}
      </ul>
    )}
  </Card>
);

function Tombstones({ lanes }: { lanes: readonly LaneAccount[] }) {
  const rows = lanes.flatMap((lane) =>
    lane.tombstones.map((tombstone) => ({ lane, tombstone })),
  );
  return (
    <Card title={t("tombstone.title")} aside={<span className="muted">{t("tombstone.note")}</span>} flush>
      {rows.length === 0 ? (
        <Empty title={t("tombstone.none")} />
      ) : (
        <Scroll label={t("tombstone.title")}>
          <table>
            <thead>
              <tr>
                <th>{t("lane")}</th>
                <th>{t("vehicle.epoch")}</th>
                <th>{t("gap.numbers")}</th>
                <th>{t("tombstone.reason")}</th>
                <th>{t("tombstone.times")}</th>
                <th className="num">{t("tombstone.observations")}</th>
                <th>{t("tombstone.what")}</th>
                <th>{t("tombstone.signature")}</th>
              </tr>
            </thead>
            <tbody>
              {rows.map(({ lane, tombstone }) => (
                <tr key={`${lane.epoch}${lane.lane}${tombstone.from_seq}`}>
                  <td>{word("lane", lane.lane)}</td>
                  <td className="mono">{lane.epoch}</td>
                  <td>{`${number(tombstone.from_seq)} – ${number(tombstone.to_seq)}`}</td>
                  <td>{word("lost", tombstone.reason)}</td>
                  <td>
                    <Time at={tombstone.first_at} short />
                    {tombstone.last_at ? " – " : null}
                    {tombstone.last_at ? <Time at={tombstone.last_at} short /> : null}
                  </td>
                  <td className="num">{number(tombstone.observations)}</td>
                  <td>
                    {tombstone.lost.map((lost) => (
                      <div key={`${lost.event_type}${lost.severity ?? ""}`} className="row">
                        {lost.severity ? <SeverityMark severity={lost.severity} bare /> : null}
                        <span className="mono">{lost.event_type}</span>{" "}
                        <span className="muted">{number(lost.rows)}</span>
                      </div>
                    ))}
                  </td>
                  <td>
                    {tombstone.signed ? (
                      <Tag tone="ok">{t("tombstone.signed")}</Tag>
                    ) : (
                      <Tag tone="bad">{t("tombstone.unsigned")}</Tag>
                    )}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
    </Card>
  );
}

const Outcomes = ({ outcomes }: { outcomes: Completeness["outcomes"] }) => (
  <Card title={t("gap.history")} aside={<span className="muted">{t("gap.history.note")}</span>} flush>
    {outcomes.length === 0 ? (
      <Empty title={t("gap.history.none")} />
    ) : (
      <Scroll label={t("gap.history")}>
        <table>
          <thead>
            <tr>
              <th>{t("lane")}</th>
              <th>{t("vehicle.epoch")}</th>
              <th>{t("gap.numbers")}</th>
              <th>{t("gap.outcome")}</th>
              <th>{t("gap.until")}</th>
            </tr>
          </thead>
          <tbody>
            {outcomes.map((gap, index) => (
              <tr key={index}>
                <td>{word("lane", gap.lane)}</td>
                <td className="mono">{gap.epoch}</td>
                <td>{`${number(gap.from_seq)} – ${number(gap.to_seq)}`}</td>
                <td>
                  {gap.filled > 0 ? (
                    <Tag tone="ok">
                      {t("gap.filled_after", {
                        count: number(gap.filled),
                        span: formatSpan(Date.parse(gap.until) - Date.parse(gap.since)),
                      })}
                    </Tag>
                  ) : null}{" "}
                  {gap.tombstoned > 0 ? <Tag>{t("gap.lost", { count: number(gap.tombstoned) })}</Tag> : null}
                </td>
                <td>
                  <Time at={gap.until} short />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    )}
  </Card>
);

const detail = (event: SecurityEvent): string =>
  Object.entries(event.fields)
    .map(([name, field]) => `${name} ${String(field.value)}`)
    .join(", ");

const Findings = ({ findings }: { findings: readonly SecurityEvent[] }) => (
  <Card title={t("integrity.title")} className="warning" flush>
    <p role="alert" className="note">
      {t("integrity.note")}
    </p>
    <Scroll label={t("integrity.title")}>
      <table>
        <thead>
          <tr>
            <th>{t("queue.severity")}</th>
            <th>{t("integrity.what")}</th>
            <th>{t("integrity.detail")}</th>
            <th>{t("integrity.at")}</th>
          </tr>
        </thead>
        <tbody>
          {findings.map((event) => (
            <tr key={event.id}>
              <td>
                <SeverityMark severity={event.severity} />
              </td>
              <td>{event.title}</td>
              <td className="mono">{detail(event)}</td>
              <td>
                <Time at={event.event_time} short />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  </Card>
);

const Gaps = ({ vehicle }: { vehicle: Vehicle }) => (
  <Card title={t("vehicle.gaps")} flush>
    {vehicle.gaps.length === 0 ? (
      <Empty title={t("vehicle.gaps.none")} />
    ) : (
      <Scroll label={t("vehicle.gaps")}>
      <table>
        <thead>
          <tr>
            <th>{t("lane")}</th>
            <th>{t("vehicle.epoch")}</th>
            <th className="num">{t("vehicle.gap.from")}</th>
            <th className="num">{t("vehicle.gap.to")}</th>
            <th>{t("queue.status")}</th>
            <th>{t("tombstone.reason")}</th>
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
              <td>{gap.reason ? word("lost", gap.reason) : "—"}</td>
              <td className="num muted">
                <Age at={gap.since} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      </Scroll>
    )}
  </Card>
);

/** What arrived of each boot and lane, what is missing, what the vehicle gave up, and what does not fit together. */
export function VehicleCompleteness({ vehicle }: { vehicle: Vehicle }) {
  const query = useCompleteness(vehicle.vehicle_id);
  return (
    <Await query={query}>
      {(known) => (
        <div className="stack loose">
          {known.findings.length > 0 ? <Findings findings={known.findings} /> : null}
          <Accounts lanes={known.lanes} />
          <div className="two-columns">
            <Boots boots={known.boots} />
            <div className="stack loose">
              <Gaps vehicle={vehicle} />
              <Outcomes outcomes={known.outcomes} />
            </div>
          </div>
          <Tombstones lanes={known.lanes} />
        </div>
      )}
    </Await>
  );
}
