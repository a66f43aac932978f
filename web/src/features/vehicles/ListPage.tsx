import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import type { VehicleSummary } from "../../api/types";
import { number, t, word } from "../../lib/i18n";
import { Age, SeverityMark, Tag } from "../../ui/parts";
import { Await, Empty } from "../../ui/states";
import { useVehicles } from "./api";
import { CONNECTIVITY, STAGES, type VehiclesSearch } from "./search";
import { StageTag } from "./Stage";

const FILTERS = ["model_line", "platform", "release", "region"] as const;

/** A value that narrows the list to itself. */
const Choice = ({ name, value }: { name: (typeof FILTERS)[number]; value: string | null | undefined }) =>
  value ? (
    <Link from="/vehicles" to="/vehicles" search={(old) => ({ ...old, [name]: value })}>
      {value}
    </Link>
  ) : (
    "—"
  );

const VehicleRow = ({ vehicle }: { vehicle: VehicleSummary }) => (
  <tr>
    <td>
      <Link
        className="mono"
        to="/vehicles/$id/{-$tab}"
        params={{ id: vehicle.vehicle_id, tab: undefined }}
        title={vehicle.vehicle_id}
      >
        {vehicle.vehicle_id.slice(0, 12)}
      </Link>
    </td>
    <td>
      {vehicle.worst_severity ? (
        <SeverityMark severity={vehicle.worst_severity} />
      ) : (
        <span className="muted">—</span>
      )}
    </td>
    <td className="num">{number(vehicle.open_alerts)}</td>
    <td>
      <Choice name="model_line" value={vehicle.model_line} />{" "}
      <span className="muted">{vehicle.model_year}</span>
    </td>
    <td>
      <Choice name="platform" value={vehicle.platform} />
    </td>
    <td>
      <Choice name="region" value={vehicle.region} />
    </td>
    <td>
      <Choice name="release" value={vehicle.release} />
    </td>
    <td>
      <StageTag stage={vehicle.stage} />
    </td>
    <td>
      <Tag
        tone={vehicle.connectivity === "online" ? "ok" : vehicle.connectivity === "silent" ? "warn" : "plain"}
      >
        {word("connectivity", vehicle.connectivity)}
      </Tag>
    </td>
    <td className="num muted">
      <Age at={vehicle.last_event_at} />
    </td>
    <td className="num muted">
      <Age at={vehicle.last_seen_at} />
    </td>
  </tr>
);

const HEADS = [
  "vehicle.id",
  "vehicle.worst",
  "vehicle.open_alerts",
  "vehicle.model",
  "vehicle.platform",
  "vehicle.region",
  "vehicle.release",
  "vehicle.stage",
  "vehicle.connectivity",
  "vehicle.last_event",
  "vehicle.last_seen",
] as const;
const NUMERIC: readonly string[] = ["vehicle.open_alerts", "vehicle.last_event", "vehicle.last_seen"];

function Filters({ search, total }: { search: VehiclesSearch; total: number | undefined }) {
  const navigate = useNavigate({ from: "/vehicles" });
  const patch = (change: VehiclesSearch) =>
    void navigate({ search: { ...search, ...change }, replace: true });
  return (
    <header>
      <div className="row wrap">
        <h1>{t("nav.vehicles")}</h1>
        <span className="muted">{total === undefined ? "" : number(total)}</span>
        <div className="segments" role="group" aria-label={t("vehicle.connectivity")}>
          <button
            type="button"
            className="button small"
            aria-pressed={!search.status}
            onClick={() => patch({ status: undefined })}
          >
            {t("queue.view.all")}
          </button>
          {CONNECTIVITY.map((state) => (
            <button
              key={state}
              type="button"
              className="button small"
              aria-pressed={search.status === state}
              onClick={() => patch({ status: state })}
            >
              {t(`connectivity.${state}`)}
            </button>
          ))}
        </div>
        <label className="row">
          <span className="muted">{t("vehicle.stage")}</span>
          <select
            value={search.stage ?? ""}
            onChange={(event) => patch({ stage: STAGES.find((each) => each === event.target.value) })}
          >
            <option value="">{t("queue.view.all")}</option>
            {STAGES.map((stage) => (
              <option key={stage} value={stage}>
                {t(`stage.${stage}`)}
              </option>
            ))}
          </select>
        </label>
        {FILTERS.map((name) =>
          search[name] ? (
            <span key={name} className="tag">
              {t(`filter.${name}`)}: {search[name]}
              <button
                type="button"
                className="chip-remove"
                aria-label={t("filter.remove", { name: t(`filter.${name}`) })}
                onClick={() => patch({ [name]: undefined })}
              >
                ×
              </button>
            </span>
          ) : null,
        )}
      </div>
      <form
        role="search"
        onSubmit={(event) => {
          event.preventDefault();
          patch({ q: String(new FormData(event.currentTarget).get("q")) || undefined });
        }}
      >
        <input
          key={search.q}
          data-search
          name="q"
          type="search"
          className="search"
          defaultValue={search.q}
          placeholder={t("vehicle.search")}
          aria-label={t("vehicle.search")}
        />
      </form>
    </header>
  );
}

export function ListPage() {
  const search = useSearch({ from: "/vehicles" });
  const vehicles = useVehicles(search);
  return (
    <div className="page">
      <Filters search={search} total={vehicles.data?.pages.at(-1)?.total} />
      <div className="card scroll" tabIndex={0} role="region" aria-label={t("nav.vehicles")}>
        <Await query={vehicles}>
          {(data) => {
            const items = data.pages.flatMap((page) => page.items);
            if (items.length === 0)
              return (
                <Empty title={t("vehicle.none")}>
                  <span>{t("vehicle.none.hint")}</span>
                </Empty>
              );
            return (
              <table>
                <thead>
                  <tr>
                    {HEADS.map((head) => (
                      <th key={head} className={NUMERIC.includes(head) ? "num" : ""}>
                        {t(head)}
                      </th>
                    ))}
                  </tr>
                </thead>
                <tbody>
                  {items.map((vehicle) => (
                    <VehicleRow key={vehicle.vehicle_id} vehicle={vehicle} />
                  ))}
                </tbody>
              </table>
            );
          }}
        </Await>
      </div>
      {vehicles.hasNextPage ? (
        <button
          type="button"
          className="button"
          disabled={vehicles.isFetchingNextPage}
          onClick={() => void vehicles.fetchNextPage()}
        >
          {t("state.more")}
        </button>
      ) : null}
    </div>
  );
}
