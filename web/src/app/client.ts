import { QueryClient } from "@tanstack/react-query";
import { ApiError } from "../api/client";

/** The server state of this tab. Refusals are final; only an unreachable or failing server is asked again. */
export const client = new QueryClient({
  defaultOptions: {
    queries: {
      retry: (failures, error) =>
        failures < 2 && (!(error instanceof ApiError) || error.status === 0 || error.status >= 500),
      refetchOnWindowFocus: false,
      staleTime: 10_000,
    },
  },
});
