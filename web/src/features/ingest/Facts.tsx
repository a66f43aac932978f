import type { Health, IngestHealth } from "../../api/types";
import { number, t, word } from "../../lib/i18n";
import { formatSpan } from "../../lib/time";
import { Card, Tag } from "../../ui/parts";

const Counts = ({ prefix, counts, none }: { prefix: string; counts: Record<string, number>; none: string }) => {
  const rows = Object.entries(counts)
    .filter(([, count]) => count > 0)
    .sort((a, b) => b[1] - a[1]);
  if (rows.length === 0) return <p className="muted">{none}</p>;
  return (
    <dl className="facts">
      {rows.map(([reason, count]) => (
        <div key={reason} className="contents">
          <dt>{word(prefix, reason)}</dt>
          <dd>{number(count)}</dd>
        </div>
      ))}
    </dl>
  );
};

const span = (seconds: number | null | undefined): string =>
  seconds == null ? "—" : t("ingest.lag.below", { span: formatSpan(seconds * 1000) });

/** Half, nine tenths and nearly all rows: how long after the event they came. */
export const Lag = ({ health: { lag } }: { health: IngestHealth }) => (
  <Card title={t("ingest.lag")} aside={<span className="muted">{t("ingest.lag.note")}</span>}>
    <dl className="facts">
      <dt>{t("ingest.lag.p50")}</dt>
      <dd>{span(lag.p50_s)}</dd>
      <dt>{t("ingest.lag.p90")}</dt>
      <dd>{span(lag.p90_s)}</dd>
      <dt>{t("ingest.lag.p99")}</dt>
      <dd>{span(lag.p99_s)}</dd>
      <dt>{t("ingest.lag.rows")}</dt>
      <dd>{number(lag.rows)}</dd>
    </dl>
  </Card>
);

/** Vehicles by when they were last heard of. */
export function Contacts({ health }: { health: IngestHealth }) {
  const most = Math.max(1, ...health.contacts.map((each) => each.vehicles));
  return (
    <Card title={t("ingest.contacts")} aside={<span className="muted">{number(health.vehicles)}</span>}>
      <table className="bars">
        <tbody>
          {health.contacts.map((each) => (
            <tr key={each.within_s ?? "longer"}>
              <th scope="row">
                {each.within_s == null
                  ? t("ingest.contacts.longer")
                  : t("ingest.contacts.within", { span: formatSpan(each.within_s * 1000) })}
              </th>
              <td className="share-cell">
                <svg className="share-bar" viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true">
                  <rect className="share-ground" width={1000} height={10} />
                  <rect className="share-received" width={(each.vehicles / most) * 1000} height={10} />
                </svg>
              </td>
              <td className="num">{number(each.vehicles)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Card>
  );
}

/** What vehicles gave up, and why. */
export const Losses = ({ health }: { health: IngestHealth }) => (
  <Card
    title={t("ingest.losses")}
    aside={
      health.tombstones_unsigned > 0 ? (
        <Tag tone="bad">{t("ingest.unsigned", { count: number(health.tombstones_unsigned) })}</Tag>
      ) : (
        <span className="muted">{t("ingest.signed", { count: number(health.tombstones_signed) })}</span>
      )
    }
  >
    <Counts prefix="lost" counts={health.lost_by_reason} none={t("ingest.losses.none")} />
  </Card>
);

/** Gaps by what is known of them. */
export const Gaps = ({ health: { gaps, findings } }: { health: IngestHealth }) => (
  <Card title={t("ingest.gaps")}>
    <dl className="facts">
      <dt>{t("gap.open")}</dt>
      <dd className={gaps.open > 0 ? "c-medium" : ""}>{number(gaps.open)}</dd>
      <dt>{t("gap.overdue")}</dt>
      <dd className={gaps.overdue > 0 ? "c-high" : ""}>{number(gaps.overdue)}</dd>
      <dt>{t("gap.tombstoned")}</dt>
      <dd>{number(gaps.tombstoned)}</dd>
      <dt>{t("ingest.findings")}</dt>
      <dd className={findings > 0 ? "c-critical" : ""}>{number(findings)}</dd>
    </dl>
  </Card>
);

/** What did not get in, and what came again. */
export const Refusals = ({ health }: { health: IngestHealth }) => (
  <Card
    title={t("ingest.refused")}
    aside={<span className="muted">{t("ingest.frames", { count: number(health.frames) })}</span>}
  >
    <Counts prefix="reason_word" counts={health.refused} none={t("ingest.refused.none")} />
    <h3>{t("ingest.rows")}</h3>
    <Counts
      prefix="reason_word"
      counts={{ duplicate: health.duplicates, ...health.quarantined }}
      none={t("ingest.rows.none")}
    />
  </Card>
);

/** Sessions and handshakes, where the listener counts them. */
export function Sessions({ health }: { health: Health | undefined }) {
  // The counters are the listener's own; a server without it has none.
  const links = health?.links;
  const counts = Object.entries(links ?? {}).filter(
    (entry): entry is [string, number] => typeof entry[1] === "number",
  );
  return (
    <Card title={t("ingest.sessions")}>
      {counts.length === 0 ? (
        <p className="muted">{t("ingest.sessions.none")}</p>
      ) : (
        <>
          <dl className="facts">
            {counts.map(([name, count]) => (
              <div key={name} className="contents">
                <dt>{word("link", name)}</dt>
                <dd className={name === "findings" && count > 0 ? "c-high" : ""}>{number(count)}</dd>
              </div>
            ))}
          </dl>
          <h3>{t("ingest.sessions.refused")}</h3>
          <Counts prefix="reason_word" counts={links?.refusals ?? {}} none={t("ingest.sessions.refused.none")} />
        </>
      )}
    </Card>
  );
}
