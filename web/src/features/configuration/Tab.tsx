import { Fragment, useMemo } from "react";
import type { ConfigSetback, VehicleConfiguration } from "../../api/types";
import { ActionButton, usePublish } from "../../app/actions/context";
import type { UpdatesHandle } from "../../app/actions/types";
import { number, t, word } from "../../lib/i18n";
import { Card, Tag, Time } from "../../ui/parts";
import { Await, Empty } from "../../ui/states";
import { useConfiguration, useRollout } from "./api";
import { Orders } from "./Orders";

const KINDS = ["policy", "rules", "model"] as const;
const OPEN = ["proposed", "confirmed", "permitted"];

const Setback = ({ title, setback }: { title: string; setback: ConfigSetback | null | undefined }) => (
  <>
    <dt>{title}</dt>
    <dd>
      {setback ? (
        <>
          {setback.kind
            ? t("update.what", {
                kind: word("artifact_kind", setback.kind),
                version: setback.version ?? "—",
              })
            : null}{" "}
          <span className="c-high">{word("config_reason", setback.reason)}</span>{" "}
          <span className="muted">
            <Time at={setback.at} short />
          </span>
        </>
      ) : (
        "—"
      )}
    </dd>
  </>
);

function Versions({ configuration }: { configuration: VehicleConfiguration }) {
  const { versions, trial } = configuration;
  if (versions.length === 0) return <Empty title={t("configuration.untold")} />;
  return (
    <dl className="facts">
      {KINDS.map((kind) => {
        const used = versions.find((each) => each.kind === kind)?.version ?? 0;
        return (
          <Fragment key={kind}>
            <dt>{t(`artifact_kind.${kind}`)}</dt>
            <dd className="row wrap" data-kind={kind}>
              {used === 0
                ? t("configuration.provisioned")
                : t("configuration.version", { version: number(used) })}
              {trial?.kind === kind ? <Tag tone="live">{t("configuration.trial")}</Tag> : null}
            </dd>
          </Fragment>
        );
      })}
      <dt>{t("configuration.told")}</dt>
      <dd>
        <Time at={configuration.told_at} short />
      </dd>
      <Setback title={t("configuration.last_return")} setback={configuration.last_return} />
      <Setback title={t("configuration.last_refusal")} setback={configuration.last_refusal} />
    </dl>
  );
}

function Shown({ configuration }: { configuration: VehicleConfiguration }) {
  const open = configuration.orders.find((order) => OPEN.includes(order.state));
  const rollout = useRollout(open?.rollout_id).data;
  const handle = useMemo(
    (): UpdatesHandle => ({ vehicle: configuration.vehicle_id, rollout }),
    [configuration.vehicle_id, rollout],
  );
  usePublish("updates", handle);
  return (
    <div className="stack loose">
      <Card
        title={t("configuration.in_use")}
        aside={configuration.is_capable ? null : <Tag tone="warn">{t("configuration.not_capable")}</Tag>}
      >
        <Versions configuration={configuration} />
        <div className="row wrap">
          <ActionButton id="updates.propose" />
          <ActionButton id="updates.confirm" />
          <ActionButton id="updates.cancel" />
        </div>
        {open && rollout && rollout.vehicles > 1 ? (
          <p className="muted">{t("configuration.shared", { count: number(rollout.vehicles) })}</p>
        ) : null}
      </Card>
      <Card title={t("update.title")} flush>
        <Orders orders={configuration.orders} linksVehicle={false} />
      </Card>
    </div>
  );
}

/** What a vehicle is configured with by its own word, and what was ordered. */
export function Configuration({ id }: { id: string }) {
  const query = useConfiguration(id);
  return <Await query={query}>{(configuration) => <Shown configuration={configuration} />}</Await>;
}
