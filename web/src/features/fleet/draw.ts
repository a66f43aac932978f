import { geoGraticule10, geoPath, type GeoPermissibleObjects } from "d3-geo";
import { projection, type Shape, type Size, type View } from "./geometry";

/** Colours of the map, read from the tokens, so that both themes draw it. */
export type Inks = {
  sea: string;
  land: string;
  line: string;
  edge: string;
  focus: string;
  steps: readonly string[];
};

export function readInks(): Inks {
  const style = getComputedStyle(document.documentElement);
  const token = (name: string) => style.getPropertyValue(name).trim();
  return {
    sea: token("--bg-0"),
    land: token("--land"),
    line: token("--line"),
    edge: token("--line-strong"),
    focus: token("--focus"),
    steps: [
      token("--line-strong"),
      token("--map-1"),
      token("--map-2"),
      token("--map-3"),
      token("--map-4"),
      token("--map-5"),
    ],
  };
}

type Scene = {
  size: Size;
  view: View;
  land: GeoPermissibleObjects;
  shapes: readonly Shape[];
  chosen: string | undefined;
  inks: Inks;
};

/** Draws the whole map. A hexagon that would be smaller than a point is drawn as one, so that a single vehicle shows. */
export function draw(context: CanvasRenderingContext2D, { size, view, land, shapes, chosen, inks }: Scene) {
  const project = projection(size, view).clipExtent([
    [-40, -40],
    [size.width + 40, size.height + 40],
  ]);
  const path = geoPath(project, context);
  context.fillStyle = inks.sea;
  context.fillRect(0, 0, size.width, size.height);
  const stroke = (object: GeoPermissibleObjects, colour: string, width: number) => {
    context.beginPath();
    path(object);
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.stroke();
  };
  stroke(geoGraticule10(), inks.line, 0.5);
  context.beginPath();
  path(land);
  context.fillStyle = inks.land;
  context.fill();
  stroke(land, inks.edge, 0.6);
  for (const shape of shapes) {
    const outline: GeoPermissibleObjects = { type: "Polygon", coordinates: [[...shape.ring].reverse()] };
    context.fillStyle = inks.steps[shape.step] ?? inks.edge;
    context.globalAlpha = 0.88;
    context.beginPath();
    if (path.area(outline) < 12) {
      const centre = project(shape.centre);
      if (centre) context.arc(centre[0], centre[1], 2.5, 0, 2 * Math.PI);
    } else path(outline);
    context.fill();
    context.globalAlpha = 1;
    context.strokeStyle = inks.edge;
    context.lineWidth = 0.5;
    context.stroke();
    if (shape.cell.h3 === chosen) stroke(outline, inks.focus, 2.5);
  }
}
