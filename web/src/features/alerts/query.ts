/** The queue's view state: all of it lives in the URL. */
import type { Alert, AlertStatus, Severity } from "../../api/types";

export const SEVERITIES: readonly Severity[] = ["critical", "high", "medium", "low", "info"];
export const STATUS_VIEWS = [
  "new,acknowledged",
  "new",
  "acknowledged",
  "closed",
  "new,acknowledged,closed",
] as const;
export const DEFAULT_STATUS: string = STATUS_VIEWS[0];
export const DEFAULT_SORT = "-last_at";
export const SORT_KEYS = ["severity", "last_at", "first_at", "vehicle_count", "event_count"] as const;
export type SortKey = (typeof SORT_KEYS)[number];

/** What `GET /alerts` understands. */
export type AlertQuery = {
  status?: string;
  severity?: string;
  rule?: string;
  model_line?: string;
  vehicle?: string;
  case?: string;
  q?: string;
  from?: string;
  to?: string;
  sort?: string;
};
/** The query, plus which alert is open in the pane. */
export type AlertSearch = AlertQuery & { sel?: string };

const NAMES: readonly (keyof AlertSearch)[] = [
  "status",
  "severity",
  "rule",
  "model_line",
  "vehicle",
  "case",
  "q",
  "from",
  "to",
  "sort",
  "sel",
];

/** Turns whatever a URL holds into a search; unknown names are dropped, non-text values are read as text. */
export function readSearch(raw: Record<string, unknown>): AlertSearch {
  const search: AlertSearch = {};
  for (const name of NAMES) {
    const value = raw[name];
    if (value !== undefined && value !== null && value !== "" && typeof value !== "object")
      search[name] = String(value);
  }
  return search;
}

/** Returns the query that is sent, with the defaults a bare `/alerts` means. */
export function toQuery({ sel: _sel, ...search }: AlertSearch): AlertQuery {
  return { ...search, status: search.status ?? DEFAULT_STATUS, sort: search.sort ?? DEFAULT_SORT };
}

export const wordList = (text: string | undefined): string[] => (text ? text.split(",").filter(Boolean) : []);

/** Returns the comma list with `item` added or removed, in the order of `order`; an empty list means "no filter". */
export function toggleWord(
  text: string | undefined,
  item: string,
  order: readonly string[],
): string | undefined {
  const had = new Set(wordList(text));
  if (!had.delete(item)) had.add(item);
  const next = order.filter((each) => had.has(each));
  return next.length === 0 || next.length === order.length ? undefined : next.join(",");
}

/** Returns the sort after a press on a column: descending first, then ascending. */
export const nextSort = (current: string | undefined, key: SortKey): string =>
  (current ?? DEFAULT_SORT) === `-${key}` ? key : `-${key}`;

/** Returns whether a pushed alert belongs to the list of `query`, as far as its fields tell; words are left to the server. */
export function matches(query: AlertQuery, alert: Alert): boolean {
  const severities = wordList(query.severity);
  return (
    statusMatches(query, alert.status) &&
    (severities.length === 0 || severities.includes(alert.severity)) &&
    (!query.rule || query.rule === alert.rule_id) &&
    (!query.model_line || query.model_line === alert.model_line) &&
    (!query.case || query.case === alert.case_id)
  );
}

/** Returns whether an alert in `status` belongs to the list of `query`. */
export const statusMatches = (query: AlertQuery, status: AlertStatus): boolean => {
  const wanted = wordList(query.status);
  return wanted.length === 0 || wanted.includes(status);
};
