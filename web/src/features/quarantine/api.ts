import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { ask, http } from "../../api/client";
import { client } from "../../app/client";
import type { QuarantineSearch } from "./search";

/** Nothing tells of a change by itself; what was taken again is seen within this time. */
const POLL_MS = 15_000;
const PAGE_ITEMS = 100;
const key = ["quarantine"] as const;

export const useSummary = (enabled: boolean) =>
  useQuery({
    queryKey: [...key, "summary"],
    queryFn: ({ signal }) => ask(http.GET("/api/v1/quarantine/summary", { signal })),
    refetchInterval: POLL_MS,
    enabled,
  });

export const useEntries = (search: QuarantineSearch) =>
  useInfiniteQuery({
    queryKey: [...key, "entries", search],
    queryFn: ({ pageParam, signal }) => {
      const { reason, feed, format, all } = search;
      const query = { reason, feed, format, open: !all, cursor: pageParam, limit: PAGE_ITEMS };
      return ask(http.GET("/api/v1/quarantine", { params: { query }, signal }));
    },
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next_cursor ?? undefined,
  });

/** What is taken again: entries, or all open ones of a reason, feed and format. */
export type ReplayTarget = { ids: readonly string[] } | Pick<QuarantineSearch, "reason" | "feed" | "format">;

/** Has entries taken again; returns how many are. */
export async function replay(target: ReplayTarget): Promise<number> {
  const body = "ids" in target ? { ids: [...target.ids] } : target;
  const { requested } = await ask(http.POST("/api/v1/quarantine/replays", { body }));
  await client.invalidateQueries({ queryKey: key });
  return requested;
}

/** Address from which the bytes of an entry are saved. */
export const contentAddress = (id: string): string => `/api/v1/quarantine/${encodeURIComponent(id)}/content`;
