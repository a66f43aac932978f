import { useQuery } from "@tanstack/react-query";
import { ask, http } from "../../api/client";

export const useRules = (enabled: boolean) =>
  useQuery({
    enabled,
    queryKey: ["rules"],
    queryFn: ({ signal }) => ask(http.GET("/api/v1/rules", { signal })),
    staleTime: 60_000,
  });
