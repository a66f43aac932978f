import { useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useMemo, useState } from "react";
import { ActionButton, usePublish } from "../../app/actions/context";
import { granted, type QuarantineHandle } from "../../app/actions/types";
import { number, t } from "../../lib/i18n";
import { Card } from "../../ui/parts";
import { Await, Empty } from "../../ui/states";
import { useSession } from "../session/api";
import { useEntries, useSummary } from "./api";
import { Chosen } from "./Chosen";
import { Entries } from "./Entries";
import { Groups } from "./Groups";
import { openIn, type QuarantineSearch } from "./search";

/** The server takes so many by name in one request. */
const PICKED_MAX = 500;

/** What an act takes again: what was picked, or else everything that is looked at. */
function useHandle(search: QuarantineSearch, open: number, picked: ReadonlySet<string>, done: () => void) {
  const handle = useMemo((): QuarantineHandle => {
    const { reason, feed, format } = search;
    return picked.size > 0
      ? { target: { ids: [...picked].slice(0, PICKED_MAX) }, entries: Math.min(picked.size, PICKED_MAX), done }
      : { target: { reason, feed, format }, entries: open, done };
  }, [search, open, picked, done]);
  usePublish("quarantine", handle);
}

function Filters({ search, total }: { search: QuarantineSearch; total: number | undefined }) {
  const navigate = useNavigate({ from: "/quarantine" });
  const patch = (change: Partial<QuarantineSearch>) =>
    void navigate({ search: { ...search, ...change }, replace: true });
  return (
    <div className="row wrap">
      <span className="muted">{total === undefined ? "" : number(total)}</span>
      <div className="segments" role="group" aria-label={t("quarantine.state")}>
        <button
          type="button"
          className="button small"
          aria-pressed={!search.all}
          onClick={() => patch({ all: undefined })}
        >
          {t("quarantine.state.open")}
        </button>
        <button
          type="button"
          className="button small"
          aria-pressed={search.all === true}
          onClick={() => patch({ all: true })}
        >
          {t("queue.view.all")}
        </button>
      </div>
      <Chosen search={search} drop={(name) => patch({ [name]: undefined })} />
      <span className="grow" />
      <ActionButton id="quarantine.replay" primary />
    </div>
  );
}

const NONE: ReadonlySet<string> = new Set();

function Quarantine() {
  const search = useSearch({ from: "/quarantine" });
  const summary = useSummary(true);
  const entries = useEntries(search);
  const [picked, setPicked] = useState(NONE);
  const clear = useMemo(() => () => setPicked(NONE), []);
  useEffect(clear, [clear, search]);
  useHandle(search, summary.data ? openIn(summary.data.groups, search) : 0, picked, clear);
  return (
    <>
      <Await query={summary}>{(data) => <Groups summary={data} search={search} />}</Await>
      <Card title={t("quarantine.list")} flush>
        <div className="note">
          <Filters search={search} total={entries.data?.pages.at(-1)?.total} />
        </div>
        <Entries query={entries} picked={picked} setPicked={setPicked} />
        {entries.hasNextPage ? (
          <div className="note">
            <button
              type="button"
              className="button"
              disabled={entries.isFetchingNextPage}
              onClick={() => void entries.fetchNextPage()}
            >
              {t("state.more")}
            </button>
          </div>
        ) : null}
      </Card>
    </>
  );
}

/** What could not be used and was kept: why, from whom, and how it is taken again after a fix. */
export function Page() {
  const user = useSession().data?.user;
  return (
    <div className="page">
      <header>
        <h1>{t("nav.quarantine")}</h1>
      </header>
      {user && granted(user.role, "engineer") ? <Quarantine /> : <Empty title={t("reason.engineer")} />}
    </div>
  );
}
