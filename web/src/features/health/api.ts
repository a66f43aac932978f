import { useQuery } from "@tanstack/react-query";
import { ask, http } from "../../api/client";

/** The stream brings it every five seconds; the poll covers a lost stream. */
const POLL_MS = 15_000;

/** Returns the health; without `asking` only what other pages and the stream have brought. */
export const useHealth = (asking = true) =>
  useQuery({
    queryKey: ["health"],
    queryFn: ({ signal }) => ask(http.GET("/api/v1/health", { signal })),
    enabled: asking,
    refetchInterval: asking && POLL_MS,
  });
