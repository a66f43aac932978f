import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { ask, http } from "../../api/client";
import type { MapLayer } from "../../api/types";

const POLL_MS = 60_000;

export const useFleetMap = (layer: MapLayer, resolution: number) =>
  useQuery({
    queryKey: ["fleet", "map", layer, resolution],
    queryFn: ({ signal }) =>
      ask(http.GET("/api/v1/fleet/map", { params: { query: { layer, resolution } }, signal })),
    placeholderData: keepPreviousData,
    refetchInterval: POLL_MS,
  });

export const useRegions = () =>
  useQuery({
    queryKey: ["fleet", "regions"],
    queryFn: ({ signal }) => ask(http.GET("/api/v1/fleet/regions", { signal })),
    refetchInterval: POLL_MS,
  });
