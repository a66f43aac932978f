import { useQuery } from "@tanstack/react-query";
import { ask, http } from "../../api/client";

/** Event types and fields; they change with the server's version only. */
export const useCatalogue = (enabled = true) =>
  useQuery({
    enabled,
    queryKey: ["catalogue"],
    queryFn: ({ signal }) => ask(http.GET("/api/v1/catalogue", { signal })),
    staleTime: Infinity,
  });
