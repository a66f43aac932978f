import { Link } from "@tanstack/react-router";
import type { Health, Stage } from "../../api/types";
import { sum } from "../../lib/counts";
import { bytes, counted, number, t, word } from "../../lib/i18n";
import { formatSpan } from "../../lib/time";
import { Age, Card, Scroll, Tag } from "../../ui/parts";
import { Await, Empty } from "../../ui/states";
import { useHealth } from "./api";
import { Detection } from "./Detection";

const Reasons = ({ counts }: { counts: Record<string, number> }) => (
  <>
    <span className={sum(counts) > 0 ? "c-medium" : ""}>{number(sum(counts))}</span>
    {Object.entries(counts)
      .filter(([, value]) => value > 0)
      .map(([reason, value]) => (
        <div key={reason} className="muted reason">
          {word("reason_word", reason)} {number(value)}
        </div>
      ))}
  </>
);

const StageRow = ({ stage }: { stage: Stage }) => (
  <tr>
    <td>
      <strong>{word("stage", stage.stage)}</strong> <span className="muted">{word("unit", stage.unit)}</span>
    </td>
    <td className="num">{number(stage.received)}</td>
    <td className="op" aria-hidden="true">
      =
    </td>
    <td className="num">{number(stage.passed)}</td>
    <td className="op" aria-hidden="true">
      +
    </td>
    <td className="num">
      <Reasons counts={stage.dropped} />
    </td>
    <td className="op" aria-hidden="true">
      +
    </td>
    <td className="num">
      <Reasons counts={stage.quarantined} />
    </td>
    <td>
      {stage.balanced ? (
        <Tag tone="ok">{t("health.balanced")}</Tag>
      ) : (
        <Tag tone="bad">
          {t("health.unbalanced", {
            count: number(stage.received - stage.passed - sum(stage.dropped) - sum(stage.quarantined)),
          })}
        </Tag>
      )}
    </td>
  </tr>
);

const Balance = ({ health }: { health: Health }) => (
  <Card
    title={t("health.balance")}
    aside={
      <span className="row">
        <span className="muted">{t("health.balance.note")}</span>
        <Link to="/quarantine">{t("nav.quarantine")}</Link>
      </span>
    }
    flush
  >
    {health.stages.length === 0 ? (
      <Empty title={t("health.stages.none")} />
    ) : (
      <Scroll label={t("health.balance")}>
        <table className="balance">
          <thead>
            <tr>
              <th>{t("health.stage")}</th>
              <th className="num">{t("health.received")}</th>
              <td />
              <th className="num">{t("health.passed")}</th>
              <td />
              <th className="num">{t("health.dropped")}</th>
              <td />
              <th className="num">{t("health.quarantined")}</th>
              <th>{t("health.check")}</th>
            </tr>
          </thead>
          <tbody>
            {health.stages.map((stage) => (
              <StageRow key={stage.stage} stage={stage} />
            ))}
          </tbody>
        </table>
      </Scroll>
    )}
  </Card>
);

const Stores = ({ health }: { health: Health }) => (
  <div className="three-columns">
    <Card title={t("health.log")}>
      <dl className="facts">
        <dt>{t("health.lag")}</dt>
        <dd className={health.log.lag_records > 0 ? "c-medium" : "c-ok"}>
          {counted("health.records", health.log.lag_records)}
        </dd>
        <dt>{t("health.head")}</dt>
        <dd>{number(health.log.head_offset)}</dd>
        <dt>{t("health.worker")}</dt>
        <dd>{number(health.log.worker_offset)}</dd>
        <dt>{t("health.size")}</dt>
        <dd>{bytes(health.log.bytes)}</dd>
      </dl>
    </Card>
    <Card title={t("health.lake")}>
      <dl className="facts">
        <dt>{t("health.rows")}</dt>
        <dd>{number(health.lake.rows)}</dd>
        <dt>{t("health.files")}</dt>
        <dd>{number(health.lake.files)}</dd>
        <dt>{t("health.size")}</dt>
        <dd>{bytes(health.lake.bytes)}</dd>
        <dt>{t("health.commit")}</dt>
        <dd>
          {number(health.lake.version)}, <Age at={health.lake.last_commit_at} /> {t("time.ago")}
        </dd>
      </dl>
    </Card>
    <Card title={t("health.detect")}>
      <dl className="facts">
        <dt>{t("health.state")}</dt>
        <dd>{number(health.detect.state_entries)}</dd>
        <dt>{t("health.late")}</dt>
        <dd>{number(health.detect.late_findings)}</dd>
        <dt>{t("health.gaps")}</dt>
        <dd>
          {t("health.gaps.value", {
            open: number(health.gaps.open),
            overdue: number(health.gaps.overdue),
            tombstoned: number(health.gaps.tombstoned),
          })}
        </dd>
        <dt>{t("health.database")}</dt>
        <dd>{bytes(health.database.bytes)}</dd>
      </dl>
    </Card>
  </div>
);

export function Page() {
  const query = useHealth();
  return (
    <div className="page">
      <header>
        <h1>{t("nav.health")}</h1>
        {query.data ? (
          <span className="muted">
            {t("health.version", {
              version: query.data.version,
              uptime: formatSpan(query.data.uptime_s * 1000),
            })}
          </span>
        ) : null}
      </header>
      <Await query={query}>
        {(health) => (
          <>
            {health.trouble ? (
              <p role="alert" className="trouble">
                {t("health.trouble")} {health.trouble}
              </p>
            ) : null}
            <Detection detect={health.detect} />
            <Balance health={health} />
            <Stores health={health} />
          </>
        )}
      </Await>
    </div>
  );
}
