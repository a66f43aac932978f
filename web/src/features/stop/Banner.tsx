import { ActionButton, usePublish } from "../../app/actions/context";
import type { EmergencyStop, StopRelease } from "../../api/types";
import { t } from "../../lib/i18n";
import { Age, Time } from "../../ui/parts";
import { problemText } from "../../ui/states";
import { useStop } from "./api";

const Release = ({ release, user }: { release: StopRelease; user: string }) => (
  <p>
    <strong>{release.by === user ? t("stop.you_proposed") : t("stop.proposed", { who: release.by })}</strong>{" "}
    <span className="muted">
      <Age at={release.at} /> {t("time.ago")}
    </span>{" "}
    <q>{release.reason}</q> {t(release.by === user ? "stop.needs_other" : "stop.needs_second")}
  </p>
);

const Stopped = ({ stop, user }: { stop: EmergencyStop; user: string }) => (
  <section className="stop-banner" aria-label={t("stop.title")}>
    <span className="stop-mark" aria-hidden="true">
      {t("stop.mark")}
    </span>
    <div className="grow">
      <p role="alert">
        <strong>{t("stop.is_set")}</strong>{" "}
        <span className="muted">
          {t("by", { who: stop.set_by ?? "—" })}, <Time at={stop.set_at} /> (<Age at={stop.set_at} />{" "}
          {t("time.ago")})
        </span>{" "}
        <q>{stop.reason}</q>
      </p>
      {stop.release ? <Release release={stop.release} user={user} /> : null}
    </div>
    {stop.release ? (
      <div className="row">
        <ActionButton id="stop.confirm" />
        <ActionButton id="stop.set" label={t("stop.keep")} hideKeys />
      </div>
    ) : (
      <ActionButton id="stop.propose" />
    )}
  </section>
);

/** Tells on every page that the emergency stop is set, or that nobody knows; otherwise nothing. */
export function StopBanner({ user }: { user: string }) {
  const query = useStop();
  usePublish("stop", query.data);
  if (query.data?.is_set) return <Stopped stop={query.data} user={user} />;
  if (query.data || !query.error) return null;
  return (
    <section className="stop-banner unknown" aria-label={t("stop.title")}>
      <p role="alert" className="grow">
        <strong>{t("stop.unknown")}</strong> <span className="muted">{problemText(query.error)}</span>
      </p>
      <button type="button" className="button" onClick={() => void query.refetch()}>
        {t("state.retry")}
      </button>
    </section>
  );
}
