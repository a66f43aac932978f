/** A selection of alerts: ids picked one by one, or a query plus exceptions. Every action accepts both. */
import type { AlertSelection } from "../../api/types";
import type { AlertQuery } from "./query";

export type Selection =
  | { kind: "ids"; ids: ReadonlySet<string> }
  | { kind: "query"; query: AlertQuery; except: ReadonlySet<string>; total: number; asOf: string };

export const NOTHING: Selection = { kind: "ids", ids: new Set() };

export const only = (...ids: string[]): Selection => ({ kind: "ids", ids: new Set(ids) });

/** Selects all that match `query` now; alerts that come after `asOf` are not in it. */
export const everything = (query: AlertQuery, total: number, asOf: string): Selection => ({
  kind: "query",
  query,
  except: new Set(),
  total,
  asOf,
});

export function has(selection: Selection, id: string): boolean {
  return selection.kind === "ids" ? selection.ids.has(id) : !selection.except.has(id);
}

export function count(selection: Selection): number {
  return selection.kind === "ids" ? selection.ids.size : Math.max(0, selection.total - selection.except.size);
}

/** Returns the selection in which each of `ids` is in or out. */
export function set(selection: Selection, ids: readonly string[], selected: boolean): Selection {
  const base = selection.kind === "ids" ? selection.ids : selection.except;
  const next = new Set(base);
  const add = selection.kind === "ids" ? selected : !selected;
  for (const id of ids) {
    if (add) next.add(id);
    else next.delete(id);
  }
  return selection.kind === "ids" ? { kind: "ids", ids: next } : { ...selection, except: next };
}

export const toggle = (selection: Selection, id: string): Selection =>
  set(selection, [id], !has(selection, id));

/** Returns the ids from one row to another, in either direction; an unknown anchor yields the target alone. */
export function range(order: readonly string[], anchor: string | undefined, target: string): string[] {
  const from = anchor === undefined ? -1 : order.indexOf(anchor);
  const to = order.indexOf(target);
  if (to < 0) return [];
  if (from < 0) return [target];
  return order.slice(Math.min(from, to), Math.max(from, to) + 1);
}

export function toRequest(selection: Selection): AlertSelection {
  if (selection.kind === "ids") return { ids: [...selection.ids] };
  return {
    query: { ...selection.query, sort: undefined },
    except: [...selection.except],
    as_of: selection.asOf,
  };
}
