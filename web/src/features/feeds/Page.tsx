import { Link } from "@tanstack/react-router";
import { useState } from "react";
import type { Feed, Stage, UnclassifiedType } from "../../api/types";
import { granted } from "../../app/actions/types";
import { sum } from "../../lib/counts";
import { counted, number, t, word } from "../../lib/i18n";
import { Age, Card, Scroll, Tag } from "../../ui/parts";
import { Await, Empty } from "../../ui/states";
import { useSession } from "../session/api";
import { useFeeds, useUnclassified } from "./api";
import { Decoders } from "./Decoders";

const DAYS = [1, 7, 30, 366] as const;

/** The reasons that were counted, in words. */
const words = (counts: Record<string, number>): string =>
  Object.entries(counts)
    .map(([reason, count]) => `${word("reason_word", reason)}: ${number(count)}`)
    .join(", ");

/** Received, and what became of it, in three words. */
const Balance = ({ balance }: { balance: Stage }) => (
  <>
    <td className="num">{number(balance.received)}</td>
    <td className="num">{number(balance.passed)}</td>
    <td className="num" title={words(balance.dropped)}>
      {number(sum(balance.dropped))}
    </td>
  </>
);

const FeedRow = ({ feed }: { feed: Feed }) => (
  <tr>
    <td>
      <strong>{feed.name}</strong>
      <div className="muted">
        {[feed.platform, feed.release].filter(Boolean).join(" · ")}
        {feed.takes_unregistered ? ` ${t("feed.takes_unregistered")}` : ""}
      </div>
    </td>
    <td className="mono">{feed.format}</td>
    <td>
      {feed.enabled ? (
        <Tag tone="ok">{t("feed.enabled")}</Tag>
      ) : (
        <Tag tone="warn" title={feed.reason ?? undefined}>
          {t("feed.disabled")}
        </Tag>
      )}
    </td>
    <td className="num">{number(feed.requests.received)}</td>
    <Balance balance={feed.documents} />
    <td className="num">
      {sum(feed.documents.quarantined) > 0 ? (
        <Link to="/quarantine" search={{ feed: feed.name }} className="c-medium">
          {number(sum(feed.documents.quarantined))}
        </Link>
      ) : (
        "0"
      )}
    </td>
    <td>
      {t("by", { who: feed.changed_by })}{" "}
      <span className="muted">
        <Age at={feed.changed_at} />
      </span>
    </td>
  </tr>
);

const Feeds = ({ feeds }: { feeds: readonly Feed[] }) => (
  <Card title={t("feed.title")} aside={<span className="muted">{t("feed.note")}</span>} flush>
    {feeds.length === 0 ? (
      <Empty title={t("feed.none")}>
        <code>{t("feed.none.hint")}</code>
      </Empty>
    ) : (
      <Scroll label={t("feed.title")}>
        <table>
          <thead>
            <tr>
              <th>{t("feed.name")}</th>
              <th>{t("quarantine.format")}</th>
              <th>{t("queue.status")}</th>
              <th className="num">{t("feed.requests")}</th>
              <th className="num">{t("feed.documents")}</th>
              <th className="num">{t("health.passed")}</th>
              <th className="num">{t("health.dropped")}</th>
              <th className="num">{t("health.quarantined")}</th>
              <th>{t("feed.changed")}</th>
            </tr>
          </thead>
          <tbody>
            {feeds.map((feed) => (
              <FeedRow key={feed.name} feed={feed} />
            ))}
          </tbody>
        </table>
      </Scroll>
    )}
  </Card>
);

/** Rows of a type that the catalogue lacks, as a query of the hunting page. */
const hunting = ({ foreign_type, feed }: UnclassifiedType): string => {
  const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`;
  return `SELECT *\nFROM events\nWHERE event_type = 'foreign.unclassified'\n  AND foreign_type = ${quoted(foreign_type)} AND feed = ${quoted(feed)}\nORDER BY ingest_time DESC`;
};

const UnclassifiedRow = ({ type }: { type: UnclassifiedType }) => (
  <tr>
    <td>
      <Link to="/hunt" search={{ q: hunting(type) }} className="mono">
        {type.foreign_type}
      </Link>
    </td>
    <td>{type.feed}</td>
    <td>{type.platform ?? <span className="muted">{t("feed.unknown.no_platform")}</span>}</td>
    <td className="num">{number(type.events)}</td>
    <td className="num">{number(type.vehicles)}</td>
    <td className="num muted">
      <Age at={type.first_at} />
    </td>
    <td className="num muted">
      <Age at={type.last_at} />
    </td>
  </tr>
);

/** Types that the catalogue lacks, most events first: what is mapped next. */
function Unclassified() {
  const [days, setDays] = useState<number>(7);
  const query = useUnclassified(days);
  return (
    <Card
      title={t("feed.unknown")}
      aside={
        <span className="row">
          <span className="muted">{query.data ? counted("feed.unknown.count", query.data.length) : ""}</span>
          <label className="row">
            <span className="muted">{t("feed.unknown.days")}</span>
            <select value={days} onChange={(event) => setDays(Number(event.target.value))}>
              {DAYS.map((each) => (
                <option key={each} value={each}>
                  {counted("feed.days", each)}
                </option>
              ))}
            </select>
          </label>
        </span>
      }
      flush
    >
      <Await query={query}>
        {(types) =>
          types.length === 0 ? (
            <Empty title={t("feed.unknown.none")} />
          ) : (
            <Scroll label={t("feed.unknown")}>
              <table>
                <thead>
                  <tr>
                    <th>{t("feed.unknown.type")}</th>
                    <th>{t("quarantine.feed")}</th>
                    <th>{t("vehicle.platform")}</th>
                    <th className="num">{t("feed.unknown.events")}</th>
                    <th className="num">{t("queue.vehicles")}</th>
                    <th className="num">{t("quarantine.first")}</th>
                    <th className="num">{t("quarantine.last")}</th>
                  </tr>
                </thead>
                <tbody>
                  {types.map((type) => (
                    <UnclassifiedRow key={`${type.feed} ${type.platform ?? ""} ${type.foreign_type}`} type={type} />
                  ))}
                </tbody>
              </table>
            </Scroll>
          )
        }
      </Await>
    </Card>
  );
}

function Content() {
  const feeds = useFeeds();
  return (
    <>
      <Await query={feeds}>{(list) => <Feeds feeds={list} />}</Await>
      <Unclassified />
      <Decoders />
    </>
  );
}

/** Sources of foreign events, the types of theirs that nobody has mapped yet, and the decoders that read them. */
export function Page() {
  const user = useSession().data?.user;
  return (
    <div className="page">
      <header>
        <h1>{t("nav.feeds")}</h1>
      </header>
      {user && granted(user.role, "engineer") ? <Content /> : <Empty title={t("reason.engineer")} />}
    </div>
  );
}
