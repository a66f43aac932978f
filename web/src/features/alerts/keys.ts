import type { QueryKey } from "@tanstack/react-query";
import type { AlertQuery } from "./query";

export const keys = {
  lists: ["alerts", "list"] as const,
  list: (query: AlertQuery) => ["alerts", "list", query] as const,
  queryOf: (key: QueryKey): AlertQuery => (key[2] ?? {}) as AlertQuery,
  ones: ["alerts", "one"] as const,
  one: (id: string) => ["alerts", "one", id] as const,
};
