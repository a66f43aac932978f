/** Where cells and land lie on the canvas. Pure, apart from the bundled outline. */
import { type GeoProjection, geoContains, geoEqualEarth } from "d3-geo";
import { cellToBoundary, cellToLatLng, isValidCell } from "h3-js";
import type { MapCell, MapLayer } from "../../api/types";

export type Size = { width: number; height: number };
/** Zoom 1 shows the whole world (or the whole fleet, after a fit); the centre is in degrees. */
export type View = { zoom: number; longitude: number; latitude: number };
export type Shape = {
  cell: MapCell;
  value: number;
  step: number;
  ring: [number, number][];
  centre: [number, number];
};

export const WORLD: View = { zoom: 1, longitude: 10, latitude: 15 };
export const ZOOM_MIN = 1;
export const ZOOM_MAX = 60;
/** Steps of the colour scale, each an equal share of the powers of two up to the largest value. */
export const STEPS = 5;

export const valueOf = (cell: MapCell, layer: MapLayer): number => cell[layer];

/** Returns 1 to 5: the step of `value` on a log2 scale up to `most`; zero has no step. */
export function stepOf(value: number, most: number): number {
  if (value <= 0) return 0;
  const top = Math.max(1, Math.log2(Math.max(most, 2)));
  return Math.min(STEPS, 1 + Math.floor((Math.log2(value) / top) * (STEPS - 0.0001)));
}

/** Returns the smallest value of each step, for the legend. */
export function stepFloors(most: number): number[] {
  const top = Math.max(1, Math.log2(Math.max(most, 2)));
  return Array.from({ length: STEPS }, (_unused, index) =>
    Math.ceil(2 ** ((index / (STEPS - 0.0001)) * top)),
  );
}

/** Turns cells into rings in degrees; an index that H3 does not know is left out and counted. */
export function shapes(
  cells: readonly MapCell[],
  layer: MapLayer,
): { shapes: Shape[]; most: number; invalid: number } {
  const most = cells.reduce((highest, cell) => Math.max(highest, valueOf(cell, layer)), 0);
  const valid = cells.filter((cell) => isValidCell(cell.h3));
  return {
    most,
    invalid: cells.length - valid.length,
    shapes: valid
      .map((cell) => {
        const [latitude, longitude] = cellToLatLng(cell.h3);
        const value = valueOf(cell, layer);
        return {
          cell,
          value,
          step: stepOf(value, most),
          ring: cellToBoundary(cell.h3, true) as [number, number][],
          centre: [longitude, latitude] as [number, number],
        };
      })
      .sort((a, b) => a.value - b.value),
  };
}

/** Returns the projection of `view` on a canvas of `size`. */
export function projection({ width, height }: Size, view: View): GeoProjection {
  const scale = Math.min(width / 5.5, height / 2.7) * view.zoom;
  return geoEqualEarth()
    .rotate([-view.longitude, 0])
    .scale(scale)
    .translate([width / 2, height / 2])
    .center([0, view.latitude])
    .precision(0.3);
}

/** Returns a view that holds all centres, or the world where there are none. */
export function fit(all: readonly Shape[], size: Size): View {
  if (all.length === 0) return WORLD;
  const longitudes = all.map((shape) => shape.centre[0]);
  const latitudes = all.map((shape) => shape.centre[1]);
  const [west, east] = [Math.min(...longitudes), Math.max(...longitudes)];
  const [south, north] = [Math.min(...latitudes), Math.max(...latitudes)];
  const middle: View = { zoom: 1, longitude: (west + east) / 2, latitude: (south + north) / 2 };
  const project = projection(size, middle);
  const corners = [
    [west, south],
    [west, north],
    [east, south],
    [east, north],
  ].map(([x, y]) => project([x ?? 0, y ?? 0]) ?? [0, 0]);
  const spanX = Math.max(...corners.map(([x]) => Math.abs((x ?? 0) - size.width / 2)), 1);
  const spanY = Math.max(...corners.map(([, y]) => Math.abs((y ?? 0) - size.height / 2)), 1);
  const zoom = Math.min(size.width / 2 / spanX, size.height / 2 / spanY) * 0.86;
  return { ...middle, zoom: Math.min(12, Math.max(ZOOM_MIN, zoom)) };
}

/** Returns the shape under a place in degrees, topmost first. */
export function shapeAt(all: readonly Shape[], place: [number, number]): Shape | undefined {
  return all.findLast(
    (shape) =>
      Math.abs(shape.centre[1] - place[1]) < 15 &&
      geoContains({ type: "Polygon", coordinates: [[...shape.ring].reverse()] }, place),
  );
}

/** Moves a view by pixels. */
export function pan(view: View, size: Size, dx: number, dy: number): View {
  const moved = projection(size, view).invert?.([size.width / 2 - dx, size.height / 2 - dy]);
  if (!moved) return view;
  const longitude = ((moved[0] + 540) % 360) - 180;
  return { ...view, longitude, latitude: Math.max(-75, Math.min(75, moved[1])) };
}
