import type { MapLayer } from "../../api/types";

export const LAYERS: readonly MapLayer[] = ["alerts", "events", "vehicles"];
/** Coarsest and finest H3 resolution that the server bins to. */
export const RESOLUTION_MIN = 0;
export const RESOLUTION_MAX = 5;
export const RESOLUTION_DEFAULT = 3;
export type FleetSearch = { layer?: MapLayer; resolution?: number };

export function readFleetSearch(raw: Record<string, unknown>): FleetSearch {
  const resolution = Number(raw["resolution"]);
  return {
    layer: LAYERS.find((layer) => layer === raw["layer"]),
    resolution:
      raw["resolution"] !== undefined &&
      Number.isInteger(resolution) &&
      resolution >= RESOLUTION_MIN &&
      resolution <= RESOLUTION_MAX
        ? resolution
        : undefined,
  };
}
