import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import type { CaseSummary } from "../../api/types";
import { number, t, word, type MessageKey } from "../../lib/i18n";
import { Age, Scroll, SeverityMark, StatusTag, Tag } from "../../ui/parts";
import { Await, Empty } from "../../ui/states";
import { useCases } from "./api";

const VIEWS: readonly [string, MessageKey][] = [
  ["new,investigating", "queue.view.open"],
  ["closed", "case_status.closed"],
  ["new,investigating,closed", "queue.view.all"],
];

const CaseRow = ({ item }: { item: CaseSummary }) => (
  <tr>
    <td>
      <SeverityMark severity={item.severity} />
    </td>
    <td>
      <Link to="/cases/$id" params={{ id: item.id }}>
        {item.title}
      </Link>
    </td>
    <td>
      {item.disposition ? (
        <Tag>{word("disposition", item.disposition)}</Tag>
      ) : (
        <StatusTag prefix="case_status" status={item.status} />
      )}
    </td>
    <td className="num">{number(item.alert_count)}</td>
    <td className="num">{number(item.vehicle_count)}</td>
    <td className="num">{item.open_evidence > 0 ? number(item.open_evidence) : "—"}</td>
    <td>{item.owner ?? "—"}</td>
    <td className="num muted">
      <Age at={item.updated_at} />
    </td>
  </tr>
);

export function ListPage() {
  const search = useSearch({ from: "/cases" });
  const navigate = useNavigate({ from: "/cases" });
  const status = search.status ?? "new,investigating";
  const cases = useCases({ status, q: search.q });
  return (
    <div className="page">
      <header>
        <div className="row">
          <h1>{t("nav.cases")}</h1>
          <div className="segments" role="group" aria-label={t("queue.status")}>
            {VIEWS.map(([view, title]) => (
              <button
                key={view}
                type="button"
                className="button small"
                aria-pressed={status === view}
                onClick={() => void navigate({ search: { ...search, status: view } })}
              >
                {t(title)}
              </button>
            ))}
          </div>
        </div>
        <form
          className="row"
          role="search"
          onSubmit={(event) => {
            event.preventDefault();
            void navigate({
              search: { ...search, q: String(new FormData(event.currentTarget).get("q")) || undefined },
            });
          }}
        >
          <input
            data-search
            name="q"
            type="search"
            defaultValue={search.q}
            placeholder={t("case.search")}
            aria-label={t("case.search")}
          />
        </form>
      </header>
      <div className="card">
        <Await query={cases}>
          {(data) => {
            const items = data.pages.flatMap((page) => page.items);
            if (items.length === 0)
              return (
                <Empty title={t("case.empty")}>
                  <span>{t("case.empty.hint")}</span>
                </Empty>
              );
            return (
              <Scroll label={t("nav.cases")}>
                <table>
                  <thead>
                    <tr>
                      <th>{t("queue.severity")}</th>
                      <th>{t("case.title")}</th>
                      <th>{t("queue.status")}</th>
                      <th className="num">{t("nav.alerts")}</th>
                      <th className="num">{t("queue.vehicles")}</th>
                      <th className="num">{t("case.open_evidence")}</th>
                      <th>{t("queue.owner")}</th>
                      <th className="num">{t("case.updated")}</th>
                    </tr>
                  </thead>
                  <tbody>
                    {items.map((item) => (
                      <CaseRow key={item.id} item={item} />
                    ))}
                  </tbody>
                </table>
              </Scroll>
            );
          }}
        </Await>
      </div>
      {cases.hasNextPage ? (
        <button type="button" className="button" onClick={() => void cases.fetchNextPage()}>
          {t("state.more")}
        </button>
      ) : null}
    </div>
  );
}
