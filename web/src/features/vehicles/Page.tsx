import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import type { SecurityEvent, Vehicle } from "../../api/types";
import { ActionButton, usePublish } from "../../app/actions/context";
import type { VehicleHandle } from "../../app/actions/types";
import { counted, t, word } from "../../lib/i18n";
import { Age, SeverityMark, Tag } from "../../ui/parts";
import { Await } from "../../ui/states";
import { VehicleAlerts } from "./Alerts";
import { Configuration } from "../configuration/Tab";
import { useVehicle } from "./api";
import { VehicleCompleteness } from "./Completeness";
import { VehicleHealth } from "./Health";
import { TABS, type Tab } from "./search";
import { StageTag } from "./Stage";
import { Timeline } from "./Timeline";
import { Topology } from "./Topology";

const Fact = ({ label, value }: { label: string; value: string | number | null | undefined }) => (
  <div>
    <dt>{label}</dt>
    <dd>{value ?? "—"}</dd>
  </div>
);

function Head({ vehicle }: { vehicle: Vehicle }) {
  return (
    <header className="case-head">
      <div className="stack">
        <div className="row wrap">
          <h1 className="mono" title={t("vehicle.pseudonym")}>
            {vehicle.vehicle_id}
          </h1>
          <Tag
            tone={
              vehicle.connectivity === "online" ? "ok" : vehicle.connectivity === "silent" ? "warn" : "plain"
            }
          >
            {word("connectivity", vehicle.connectivity)}
          </Tag>
          {vehicle.registered ? (
            <StageTag stage={vehicle.stage} />
          ) : (
            <Tag tone="warn" title={t("vehicle.unregistered.hint")}>
              {t("vehicle.unregistered")}
            </Tag>
          )}
          {vehicle.worst_severity ? <SeverityMark severity={vehicle.worst_severity} /> : null}
          <span className="muted">{counted("vehicle.open", vehicle.open_alerts)}</span>
        </div>
        <dl className="facts inline">
          <Fact
            label={t("vehicle.model")}
            value={[vehicle.model_line, vehicle.model_year].filter(Boolean).join(" ") || null}
          />
          <Fact label={t("vehicle.platform")} value={vehicle.platform} />
          <Fact label={t("vehicle.region")} value={vehicle.region} />
          <Fact label={t("vehicle.hardware")} value={vehicle.hardware} />
          <Fact label={t("vehicle.release")} value={vehicle.release} />
          <Fact
            label={t("vehicle.registration")}
            value={vehicle.registration ? word("registration", vehicle.registration) : null}
          />
          <Fact label={t("vehicle.features")} value={vehicle.features.join(", ") || null} />
          <div>
            <dt>{t("vehicle.last_event")}</dt>
            <dd>
              <Age at={vehicle.last_event_at} />
            </dd>
          </div>
          <div>
            <dt>{t("vehicle.last_seen")}</dt>
            <dd>
              <Age at={vehicle.last_seen_at} />
            </dd>
          </div>
        </dl>
      </div>
      <ActionButton id="vehicle.evidence" />
    </header>
  );
}

function Body({ vehicle, tab }: { vehicle: Vehicle; tab: Tab }) {
  const navigate = useNavigate();
  const search = useSearch({ from: "/vehicles/$id/{-$tab}" });
  const [event, setEvent] = useState<SecurityEvent>();
  const handle = useMemo(
    (): VehicleHandle => ({
      vehicle,
      event: tab === "timeline" ? event : undefined,
      show: (next) =>
        void navigate({ to: "/vehicles/$id/{-$tab}", params: { id: vehicle.vehicle_id, tab: next } }),
    }),
    [vehicle, event, tab, navigate],
  );
  usePublish("vehicle", handle);
  return (
    <>
      <Head vehicle={vehicle} />
      <nav className="tabs" aria-label={t("vehicle.views")}>
        {TABS.map((each, index) => (
          <Link
            key={each}
            to="/vehicles/$id/{-$tab}"
            params={{ id: vehicle.vehicle_id, tab: each }}
            aria-current={each === tab ? "page" : undefined}
            activeProps={{}}
            data-tab={each}
          >
            {t(`action.vehicle.${each}`)} <kbd>{index + 1}</kbd>
          </Link>
        ))}
      </nav>
      {tab === "topology" ? <Topology vehicle={vehicle} /> : null}
      {tab === "timeline" ? <Timeline id={vehicle.vehicle_id} search={search} choose={setEvent} /> : null}
      {tab === "alerts" ? <VehicleAlerts id={vehicle.vehicle_id} /> : null}
      {tab === "completeness" ? <VehicleCompleteness vehicle={vehicle} /> : null}
      {tab === "configuration" ? <Configuration id={vehicle.vehicle_id} /> : null}
      {tab === "health" ? <VehicleHealth vehicle={vehicle} /> : null}
    </>
  );
}

export function Page() {
  const { id, tab } = useParams({ from: "/vehicles/$id/{-$tab}" });
  const query = useVehicle(id);
  return (
    <div className="page">
      <Await query={query}>{(vehicle) => <Body vehicle={vehicle} tab={tab ?? "topology"} />}</Await>
    </div>
  );
}
