import { Link, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";
import type { Artifact, Rollout, RolloutSummary } from "../../api/types";
import { ActionButton, usePublish } from "../../app/actions/context";
import type { UpdatesHandle } from "../../app/actions/types";
import { bytes, counted, number, t, word } from "../../lib/i18n";
import { Age, Card, Scroll, StatusTag, Tag, Time } from "../../ui/parts";
import { Await, Empty } from "../../ui/states";
import { useArtifacts, useRollout, useRollouts } from "./api";
import { Orders } from "./Orders";

const ArtifactRow = ({ artifact }: { artifact: Artifact }) => (
  <tr data-artifact={artifact.sha256}>
    <td>
      <strong>
        {t("update.what", { kind: word("artifact_kind", artifact.kind), version: artifact.version })}
      </strong>
    </td>
    <td className="mono" title={artifact.sha256}>
      {artifact.sha256.slice(0, 12)}
    </td>
    <td>
      {artifact.vehicle_id
        ? t("artifact.for_vehicle", { id: artifact.vehicle_id.slice(0, 12) })
        : (artifact.platform ?? t("artifact.for_any"))}
    </td>
    <td>
      {artifact.signer} <span className="mono muted">{artifact.key_id}</span>
    </td>
    <td className="num">{bytes(artifact.bytes)}</td>
    <td>
      {artifact.payload_checked ? (
        <Tag tone="ok">{t("artifact.checked")}</Tag>
      ) : (
        <Tag title={t("artifact.unchecked.hint")}>{t("artifact.unchecked")}</Tag>
      )}
    </td>
    <td>
      {t("by", { who: artifact.uploaded_by })}{" "}
      <span className="muted">
        <Age at={artifact.uploaded_at} />
      </span>
    </td>
  </tr>
);

const Artifacts = ({ artifacts }: { artifacts: readonly Artifact[] }) => (
  <Card title={t("artifact.title")} aside={<ActionButton id="updates.upload" />} flush>
    {artifacts.length === 0 ? (
      <Empty title={t("artifact.none")}>
        <span>{t("artifact.none.hint")}</span>
      </Empty>
    ) : (
      <Scroll label={t("artifact.title")}>
        <table>
          <thead>
            <tr>
              <th>{t("artifact.what")}</th>
              <th>{t("evidence.sha256")}</th>
              <th>{t("artifact.for")}</th>
              <th>{t("artifact.signer")}</th>
              <th className="num">{t("artifact.size")}</th>
              <th>{t("artifact.content")}</th>
              <th>{t("artifact.uploaded")}</th>
            </tr>
          </thead>
          <tbody>
            {artifacts.map((each) => (
              <ArtifactRow key={each.sha256} artifact={each} />
            ))}
          </tbody>
        </table>
      </Scroll>
    )}
  </Card>
);

const States = ({ rollout }: { rollout: RolloutSummary }) => (
  <span className="row wrap">
    {rollout.states.map(({ state, orders }) => (
      <span key={state} className="row">
        <StatusTag prefix="update_state" status={state} /> {number(orders)}
      </span>
    ))}
  </span>
);

const Rollouts = ({ rollouts, open }: { rollouts: readonly RolloutSummary[]; open: string | undefined }) => (
  <Card title={t("rollout.title")} aside={<ActionButton id="updates.propose" />} flush>
    {rollouts.length === 0 ? (
      <Empty title={t("rollout.none")} />
    ) : (
      <Scroll label={t("rollout.title")}>
        <table>
          <thead>
            <tr>
              <th>{t("artifact.what")}</th>
              <th className="num">{t("rollout.vehicles")}</th>
              <th>{t("rollout.states")}</th>
              <th>{t("rollout.reason")}</th>
              <th>{t("rollout.proposed")}</th>
              <th>{t("rollout.confirmed")}</th>
            </tr>
          </thead>
          <tbody>
            {rollouts.map((each) => (
              <tr key={each.id} data-rollout={each.id} aria-current={each.id === open ? "true" : undefined}>
                <td>
                  <Link to="/configuration" search={{ rollout: each.id }}>
                    {t("update.what", { kind: word("artifact_kind", each.kind), version: each.version })}
                  </Link>
                </td>
                <td className="num">{number(each.vehicles)}</td>
                <td>
                  <States rollout={each} />
                </td>
                <td>{each.reason}</td>
                <td>
                  {t("by", { who: each.proposed_by })}{" "}
                  <span className="muted">
                    <Age at={each.proposed_at} />
                  </span>
                </td>
                <td>{each.confirmed_by ? t("by", { who: each.confirmed_by }) : "—"}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    )}
  </Card>
);

const Detail = ({ rollout }: { rollout: Rollout }) => (
  <Card title={t("rollout.one")} flush>
    <div className="body">
      <div className="row wrap">
        <strong>
          {t("update.what", { kind: word("artifact_kind", rollout.kind), version: rollout.version })}
        </strong>
        <span className="mono muted" title={rollout.sha256}>
          {rollout.sha256.slice(0, 12)}
        </span>
        <span>{counted("rollout.count", rollout.vehicles)}</span>
        <q>{rollout.reason}</q>
        {rollout.confirmed_by ? null : (
          <span className="muted">
            {t("rollout.lapses")} <Time at={rollout.lapses_at} short />
          </span>
        )}
        <span className="grow" />
        <ActionButton id="updates.confirm" />
        <ActionButton id="updates.cancel" />
      </div>
    </div>
    <Orders orders={rollout.orders} linksVehicle />
  </Card>
);

function Body({
  artifacts,
  rollouts,
}: {
  artifacts: readonly Artifact[];
  rollouts: readonly RolloutSummary[];
}) {
  const { rollout: wanted } = useSearch({ from: "/configuration" });
  const open = wanted ?? rollouts[0]?.id;
  const query = useRollout(open);
  const handle = useMemo((): UpdatesHandle => ({ rollout: query.data }), [query.data]);
  usePublish("updates", handle);
  return (
    <div className="stack loose">
      <Rollouts rollouts={rollouts} open={open} />
      {open ? <Await query={query}>{(rollout) => <Detail rollout={rollout} />}</Await> : null}
      <Artifacts artifacts={artifacts} />
    </div>
  );
}

/** Signed configurations, and which vehicles they were ordered for. */
export function Page() {
  const artifacts = useArtifacts();
  const rollouts = useRollouts();
  return (
    <div className="page">
      <header>
        <h1>{t("nav.configuration")}</h1>
      </header>
      <Await query={artifacts}>
        {(stored) => (
          <Await query={rollouts}>{(list) => <Body artifacts={stored.items} rollouts={list.items} />}</Await>
        )}
      </Await>
    </div>
  );
}
