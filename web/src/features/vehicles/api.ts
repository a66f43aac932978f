import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { ask, http } from "../../api/client";
import type { VehiclesSearch } from "./search";

export const useVehicles = (query: VehiclesSearch) =>
  useInfiniteQuery({
    queryKey: ["vehicles", "list", query],
    queryFn: ({ pageParam, signal }) =>
      ask(
        http.GET("/api/v1/vehicles", {
          params: { query: { sort: "-worst_severity", ...query, cursor: pageParam, limit: 100 } },
          signal,
        }),
      ),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next_cursor ?? undefined,
  });

export const useVehicle = (id: string) =>
  useQuery({
    queryKey: ["vehicles", "one", id],
    queryFn: ({ signal }) => ask(http.GET("/api/v1/vehicles/{id}", { params: { path: { id } }, signal })),
    refetchInterval: 30_000,
  });

/** Events of the newest page that decide what is said of the detectors; as many as one page can have. */
const RECENT_MAX = 500;

export const useRecentEvents = (id: string) =>
  useQuery({
    queryKey: ["vehicles", "recent", id],
    queryFn: ({ signal }) =>
      ask(
        http.GET("/api/v1/vehicles/{id}/timeline", {
          params: { path: { id }, query: { limit: RECENT_MAX } },
          signal,
        }),
      ),
    refetchInterval: 30_000,
  });

export const useTimeline = (id: string, from: string | undefined) =>
  useInfiniteQuery({
    queryKey: ["vehicles", "timeline", id, from],
    queryFn: ({ pageParam, signal }) =>
      ask(
        http.GET("/api/v1/vehicles/{id}/timeline", {
          params: { path: { id }, query: { from, cursor: pageParam, limit: 100 } },
          signal,
        }),
      ),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next_cursor ?? undefined,
  });
