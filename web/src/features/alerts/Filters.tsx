import { useEffect, useState } from "react";
import type { SeverityCounts } from "../../api/types";
import { compact, number, t, type MessageKey } from "../../lib/i18n";
import { SeverityMark } from "../../ui/parts";
import { DEFAULT_STATUS, SEVERITIES, STATUS_VIEWS, toggleWord, wordList, type AlertSearch } from "./query";

type Props = {
  search: AlertSearch;
  patch(change: Partial<AlertSearch>): void;
  counts: SeverityCounts | undefined;
  total: number | undefined;
};

const VIEW_TITLES: readonly MessageKey[] = [
  "queue.view.open",
  "status.new",
  "status.acknowledged",
  "status.closed",
  "queue.view.all",
];
/** Pause after the last key before the search is sent. */
const TYPING_MS = 250;

function SearchBox({ value, onChange }: { value: string; onChange(text: string): void }) {
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  useEffect(() => {
    if (text === value) return;
    const timer = setTimeout(() => onChange(text), TYPING_MS);
    return () => clearTimeout(timer);
  }, [text, value, onChange]);
  return (
    <input
      data-search
      type="search"
      className="search"
      value={text}
      placeholder={t("queue.search")}
      aria-label={t("queue.search.label")}
      onChange={(event) => setText(event.target.value)}
    />
  );
}

function SeverityBar({ search, patch, counts }: Omit<Props, "total">) {
  const chosen = wordList(search.severity);
  return (
    <div className="severity-bar" role="group" aria-label={t("queue.severity")}>
      {SEVERITIES.map((severity) => (
        <button
          key={severity}
          type="button"
          className="severity-toggle"
          aria-pressed={chosen.includes(severity)}
          title={counts ? number(counts[severity]) : undefined}
          onClick={() => patch({ severity: toggleWord(search.severity, severity, SEVERITIES) })}
        >
          <SeverityMark severity={severity} />
          {counts ? <span className="num">{compact(counts[severity])}</span> : null}
        </button>
      ))}
    </div>
  );
}

const CHIPS: readonly (keyof AlertSearch)[] = ["rule", "model_line", "vehicle", "case", "from", "to"];

/** Filters, all of which live in the URL. */
export function Filters({ search, patch, counts, total }: Props) {
  const chips = CHIPS.filter((name) => search[name]);
  return (
    <div className="filters">
      <div className="row wrap">
        <h1>{t("nav.alerts")}</h1>
        <span className="muted total">{total === undefined ? "" : number(total)}</span>
        <div className="segments" role="group" aria-label={t("queue.status")}>
          {STATUS_VIEWS.map((view, index) => (
            <button
              key={view}
              type="button"
              className="button small"
              aria-pressed={(search.status ?? DEFAULT_STATUS) === view}
              onClick={() => patch({ status: view === DEFAULT_STATUS ? undefined : view })}
            >
              {t(VIEW_TITLES[index] ?? "queue.view.all")}
            </button>
          ))}
        </div>
        <SeverityBar search={search} patch={patch} counts={counts} />
        <SearchBox value={search.q ?? ""} onChange={(q) => patch({ q: q || undefined })} />
      </div>
      {chips.length > 0 ? (
        <div className="row wrap">
          {chips.map((name) => (
            <span key={name} className="tag">
              {t(`filter.${name}` as MessageKey)}: <span className="mono">{search[name]}</span>
              <button
                type="button"
                className="chip-remove"
                aria-label={t("filter.remove", { name: t(`filter.${name}` as MessageKey) })}
                onClick={() => patch({ [name]: undefined })}
              >
                ×
              </button>
            </span>
          ))}
        </div>
      ) : null}
    </div>
  );
}
