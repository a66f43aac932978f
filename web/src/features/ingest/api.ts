import { useQuery } from "@tanstack/react-query";
import { ask, http } from "../../api/client";

/** Adding up the fleet takes the server some milliseconds; nothing here changes faster than this matters. */
const POLL_MS = 15_000;

export const useIngestHealth = () =>
  useQuery({
    queryKey: ["ingest"],
    queryFn: ({ signal }) => ask(http.GET("/api/v1/ingest", { signal })),
    refetchInterval: POLL_MS,
  });

export const useCompleteness = (id: string) =>
  useQuery({
    queryKey: ["vehicles", "completeness", id],
    queryFn: ({ signal }) =>
      ask(http.GET("/api/v1/vehicles/{id}/completeness", { params: { path: { id } }, signal })),
    refetchInterval: POLL_MS,
  });
