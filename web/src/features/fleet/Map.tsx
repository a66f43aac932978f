import { useEffect, useMemo, useRef, useState, type PointerEvent, type WheelEvent } from "react";
import { feature } from "topojson-client";
import type { GeometryCollection, Topology } from "topojson-specification";
import worldAddress from "world-atlas/countries-110m.json?url";
import type { MapLayer } from "../../api/types";
import { number, t } from "../../lib/i18n";
import { usePreferences } from "../../lib/preferences";
import { Problem } from "../../ui/states";
import { draw, readInks } from "./draw";
import {
  fit,
  pan,
  projection,
  shapeAt,
  WORLD,
  ZOOM_MAX,
  ZOOM_MIN,
  type Shape,
  type Size,
  type View,
} from "./geometry";

type World = Topology<{ countries: GeometryCollection; land: GeometryCollection }>;
export type MapControl = { zoom(factor: number): void; reset(): void };
type Props = {
  shapes: readonly Shape[];
  layer: MapLayer;
  chosen: string | undefined;
  choose(h3: string | undefined): void;
  onControl(control: MapControl): void;
};

/** The outline is part of the build; a map without it is still a map of cells. */
function useLand() {
  const [world, setWorld] = useState<World>();
  const [error, setError] = useState<unknown>();
  useEffect(() => {
    const abort = new AbortController();
    fetch(worldAddress, { signal: abort.signal })
      .then((answer) => answer.json())
      .then((body) => setWorld(body as World))
      .catch((problem: unknown) => {
        if (!abort.signal.aborted) setError(problem);
      });
    return () => abort.abort();
  }, []);
  const land = useMemo(() => world && feature(world, world.objects.countries), [world]);
  return { land, error };
}

function useSize(element: React.RefObject<HTMLElement | null>): Size {
  const [size, setSize] = useState<Size>({ width: 0, height: 0 });
  useEffect(() => {
    const target = element.current;
    if (!target) return;
    const observer = new ResizeObserver(
      ([entry]) => entry && setSize({ width: entry.contentRect.width, height: entry.contentRect.height }),
    );
    observer.observe(target);
    return () => observer.disconnect();
  }, [element]);
  return size;
}

const clampZoom = (zoom: number): number => Math.max(ZOOM_MIN, Math.min(ZOOM_MAX, zoom));

/** Hexagons on a bundled outline, drawn with Canvas2D. The table beside it holds the same numbers. */
export function FleetCanvas({ shapes, layer, chosen, choose, onControl }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const size = useSize(host);
  const { land, error } = useLand();
  const { theme } = usePreferences();
  const [moved, setMoved] = useState<View>();
  const [over, setOver] = useState<Shape>();
  const grip = useRef<{ x: number; y: number; far: boolean }>(undefined);
  const view = useMemo(() => moved ?? (size.width > 0 ? fit(shapes, size) : WORLD), [moved, shapes, size]);

  useEffect(() => {
    onControl({
      zoom: (factor) =>
        setMoved((old) => ({ ...(old ?? view), zoom: clampZoom((old ?? view).zoom * factor) })),
      reset: () => setMoved(undefined),
    });
  }, [onControl, view]);

  useEffect(() => {
    const target = canvas.current;
    const context = target?.getContext("2d");
    if (!target || !context || size.width === 0) return;
    const frame = requestAnimationFrame(() => {
      const ratio = Math.min(2, globalThis.devicePixelRatio || 1);
      target.width = Math.round(size.width * ratio);
      target.height = Math.round(size.height * ratio);
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      draw(context, {
        size,
        view,
        land: land ?? { type: "GeometryCollection", geometries: [] },
        shapes,
        chosen,
        inks: readInks(),
      });
      target.dataset["ready"] = land ? "true" : "false";
    });
    return () => cancelAnimationFrame(frame);
  }, [size, view, land, shapes, chosen, theme]);

  const under = (event: PointerEvent): Shape | undefined => {
    const box = event.currentTarget.getBoundingClientRect();
    const place = projection(size, view).invert?.([event.clientX - box.left, event.clientY - box.top]);
    return place ? shapeAt(shapes, place) : undefined;
  };
  const down = (event: PointerEvent) => {
    event.currentTarget.setPointerCapture(event.pointerId);
    grip.current = { x: event.clientX, y: event.clientY, far: false };
  };
  const move = (event: PointerEvent) => {
    const held = grip.current;
    if (!held) return setOver(under(event));
    const [dx, dy] = [event.clientX - held.x, event.clientY - held.y];
    if (!held.far && Math.hypot(dx, dy) < 4) return;
    grip.current = { x: event.clientX, y: event.clientY, far: true };
    setMoved(pan(view, size, dx, dy));
  };
  const up = (event: PointerEvent) => {
    if (grip.current && !grip.current.far) choose(under(event)?.cell.h3);
    grip.current = undefined;
  };
  const wheel = (event: WheelEvent) =>
    setMoved({ ...view, zoom: clampZoom(view.zoom * Math.exp(-event.deltaY / 400)) });

  return (
    <div className="map" ref={host}>
      <canvas
        ref={canvas}
        role="img"
        aria-label={t("fleet.map.label", { count: number(shapes.length), layer: t(`fleet.layer.${layer}`) })}
        onPointerDown={down}
        onPointerMove={move}
        onPointerUp={up}
        onPointerLeave={() => setOver(undefined)}
        onWheel={wheel}
      />
      {over ? (
        <div className="map-hint">
          {t("fleet.cell", {
            vehicles: number(over.cell.vehicles),
            events: number(over.cell.events),
            alerts: number(over.cell.alerts),
          })}
        </div>
      ) : null}
      {error ? (
        <div className="map-problem">
          <Problem error={error} />
        </div>
      ) : null}
    </div>
  );
}
