import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback, useMemo, useRef, useState } from "react";
import type { MapLayer, Region } from "../../api/types";
import { ActionButton, usePublish } from "../../app/actions/context";
import { compact, number, t } from "../../lib/i18n";
import { Age, Card, SeverityMark } from "../../ui/parts";
import { Await, Empty } from "../../ui/states";
import { useFleetMap, useRegions } from "./api";
import { shapes, stepFloors, STEPS, type Shape } from "./geometry";
import { FleetCanvas, type MapControl } from "./Map";
import { LAYERS, RESOLUTION_DEFAULT, RESOLUTION_MAX, RESOLUTION_MIN, type FleetSearch } from "./search";

/** Rows of the cell table; the map itself shows all cells. */
const CELL_ROWS_MAX = 200;

const RegionRow = ({ region }: { region: Region }) => (
  <tr>
    <td>
      <Link to="/vehicles" search={{ region: region.region }}>
        {region.region}
      </Link>
    </td>
    <td>{region.worst_severity ? <SeverityMark severity={region.worst_severity} bare /> : null}</td>
    <td className="num">{number(region.vehicles)}</td>
    <td className="num">{number(region.reporting)}</td>
    <td className="num">{compact(region.events_24h)}</td>
    <td className="num">{number(region.open_alerts)}</td>
  </tr>
);

function Regions() {
  const query = useRegions();
  return (
    <Card title={t("fleet.regions")} flush>
      <Await query={query}>
        {(regions) =>
          regions.length === 0 ? (
            <Empty title={t("fleet.none")} />
          ) : (
            <table>
              <thead>
                <tr>
                  <th>{t("vehicle.region")}</th>
                  <th>
                    <span className="sr">{t("vehicle.worst")}</span>
                  </th>
                  <th className="num">{t("queue.vehicles")}</th>
                  <th className="num">{t("fleet.reporting")}</th>
                  <th className="num">{t("fleet.events")}</th>
                  <th className="num">{t("fleet.alerts")}</th>
                </tr>
              </thead>
              <tbody>
                {regions
                  .toSorted((a, b) => b.open_alerts - a.open_alerts || b.vehicles - a.vehicles)
                  .map((region) => (
                    <RegionRow key={region.region} region={region} />
                  ))}
              </tbody>
            </table>
          )
        }
      </Await>
    </Card>
  );
}

function Cells({
  all,
  chosen,
  choose,
}: {
  all: readonly Shape[];
  chosen: string | undefined;
  choose(h3: string): void;
}) {
  const rows = all.toReversed().slice(0, CELL_ROWS_MAX);
  return (
    <Card title={t("fleet.cells", { shown: number(rows.length), total: number(all.length) })} flush>
      <div className="scroll limited" tabIndex={0} role="region" aria-label={t("fleet.cells.label")}>
        <table>
          <thead>
            <tr>
              <th>{t("fleet.cell_id")}</th>
              <th className="num">{t("queue.vehicles")}</th>
              <th className="num">{t("fleet.events")}</th>
              <th className="num">{t("fleet.alerts")}</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ cell }) => (
              <tr key={cell.h3} data-open={cell.h3 === chosen || undefined}>
                <td>
                  <button
                    type="button"
                    className="link mono"
                    aria-pressed={cell.h3 === chosen}
                    onClick={() => choose(cell.h3)}
                  >
                    {cell.h3}
                  </button>
                </td>
                <td className="num">{number(cell.vehicles)}</td>
                <td className="num">{number(cell.events)}</td>
                <td className="num">{number(cell.alerts)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Card>
  );
}

const Legend = ({ most }: { most: number }) => (
  <ul className="legend">
    {stepFloors(most).map((floor, index, floors) => {
      const below = floors[index + 1];
      return (
        <li key={index}>
          <span className={`swatch map-${index + 1}`} />
          {index === STEPS - 1
            ? `${compact(floor)}–${compact(most)}`
            : below !== undefined && below - 1 > floor
              ? `${compact(floor)}–${compact(below - 1)}`
              : compact(floor)}
        </li>
      );
    })}
  </ul>
);

function Controls({
  layer,
  resolution,
  patch,
}: {
  layer: MapLayer;
  resolution: number;
  patch(change: FleetSearch): void;
}) {
  return (
    <div className="row">
      <div className="segments" role="group" aria-label={t("fleet.layer")}>
        {LAYERS.map((each) => (
          <button
            key={each}
            type="button"
            className="button small"
            aria-pressed={each === layer}
            onClick={() => patch({ layer: each })}
          >
            {t(`fleet.layer.${each}`)}
          </button>
        ))}
      </div>
      <label className="row">
        <span className="muted">{t("fleet.resolution")}</span>
        <input
          type="range"
          min={RESOLUTION_MIN}
          max={RESOLUTION_MAX}
          value={resolution}
          aria-valuetext={String(resolution)}
          onChange={(event) => patch({ resolution: Number(event.target.value) })}
        />
      </label>
      <ActionButton id="fleet.zoom_in" className="small" />
      <ActionButton id="fleet.zoom_out" className="small" />
      <ActionButton id="fleet.reset" className="small" />
    </div>
  );
}

export function Page() {
  const search = useSearch({ from: "/fleet" });
  const navigate = useNavigate({ from: "/fleet" });
  const { layer = "alerts", resolution = RESOLUTION_DEFAULT } = search;
  const query = useFleetMap(layer, resolution);
  const [chosen, setChosen] = useState<string>();
  const control = useRef<MapControl>(undefined);
  const onControl = useCallback((next: MapControl) => {
    control.current = next;
  }, []);
  const patch = useCallback(
    (change: FleetSearch) =>
      void navigate({ search: (old: FleetSearch) => ({ ...old, ...change }), replace: true }),
    [navigate],
  );
  const handle = useMemo(
    () => ({
      zoom: (factor: number) => control.current?.zoom(factor),
      reset: () => control.current?.reset(),
      nextLayer: () => patch({ layer: LAYERS[(LAYERS.indexOf(layer) + 1) % LAYERS.length] }),
    }),
    [layer, patch],
  );
  usePublish("fleet", handle);
  const map = useMemo(() => query.data && shapes(query.data.cells, layer), [query.data, layer]);
  return (
    <div className="page fleet-page">
      <header>
        <h1>{t("nav.fleet")}</h1>
        <Controls layer={layer} resolution={resolution} patch={patch} />
      </header>
      <div className="fleet">
        <section className="card map-card" aria-label={t("fleet.map")}>
          <Await query={query}>
            {(data) => (
              <>
                <FleetCanvas
                  shapes={map?.shapes ?? []}
                  layer={layer}
                  chosen={chosen}
                  choose={setChosen}
                  onControl={onControl}
                />
                <div className="row between note">
                  <Legend most={map?.most ?? 0} />
                  <span className="muted">
                    {t("fleet.as_of")} <Age at={data.as_of} /> {t("time.ago")}
                    {map && map.invalid > 0 ? ` · ${t("fleet.invalid", { count: map.invalid })}` : ""}
                  </span>
                </div>
              </>
            )}
          </Await>
        </section>
        <div className="stack loose fleet-side">
          <Regions />
          {map ? <Cells all={map.shapes} chosen={chosen} choose={setChosen} /> : null}
        </div>
      </div>
    </div>
  );
}
