import { useQuery } from "@tanstack/react-query";
import { ask, http } from "../../api/client";

const POLL_MS = 15_000;

export const useFeeds = () =>
  useQuery({
    queryKey: ["feeds"],
    queryFn: ({ signal }) => ask(http.GET("/api/v1/feeds", { signal })),
    refetchInterval: POLL_MS,
  });

/** Decoders are read when the server starts; their counts move on. */
export const useDecoders = () =>
  useQuery({
    queryKey: ["decoders"],
    queryFn: ({ signal }) => ask(http.GET("/api/v1/decoders", { signal })),
    refetchInterval: POLL_MS,
  });

export const useUnclassified = (days: number) =>
  useQuery({
    queryKey: ["unclassified", days],
    queryFn: ({ signal }) => ask(http.GET("/api/v1/unclassified", { params: { query: { days } }, signal })),
  });
