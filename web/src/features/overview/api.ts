import { useQuery } from "@tanstack/react-query";
import { ask, http } from "../../api/client";

/** The stream pushes counts once a second; the poll renews lists and the chart. */
const POLL_MS = 30_000;

export const useOverview = () =>
  useQuery({
    queryKey: ["overview"],
    queryFn: ({ signal }) => ask(http.GET("/api/v1/overview", { signal })),
    refetchInterval: POLL_MS,
  });
