import { Link } from "@tanstack/react-router";
import type { UpdateOrder } from "../../api/types";
import { t, word } from "../../lib/i18n";
import { StatusTag, Time } from "../../ui/parts";
import { Empty } from "../../ui/states";

/** The gate and the vehicle refuse by words of their own; the longer list is the gate's. */
const why = (order: UpdateOrder, reason: string): string =>
  order.state === "refused_by_vehicle" ? word("vehicle_refusal", reason) : word("refusal", reason);

function Order({ order, linksVehicle }: { order: UpdateOrder; linksVehicle: boolean }) {
  return (
    <li className="evidence" data-state={order.state} data-order={order.id}>
      <div className="row wrap">
        <StatusTag prefix="update_state" status={order.state} />
        <strong>
          {t("update.what", { kind: word("artifact_kind", order.kind), version: order.version })}
        </strong>
        {linksVehicle ? (
          <Link
            className="mono"
            to="/vehicles/$id/{-$tab}"
            params={{ id: order.vehicle_id, tab: "configuration" }}
            title={order.vehicle_id}
          >
            {order.vehicle_id.slice(0, 12)}
          </Link>
        ) : (
          <Link to="/configuration" search={{ rollout: order.rollout_id }}>
            {t("rollout.open")}
          </Link>
        )}
        <span className="grow" />
        <span className="muted">{t("by", { who: order.proposed_by })}</span>
      </div>
      {order.reasons.length > 0 ? (
        <ul className="c-critical">
          {order.reasons.map((reason) => (
            <li key={reason}>{why(order, reason)}</li>
          ))}
        </ul>
      ) : null}
      <ol className="steps">
        {order.steps.map((step, index) => (
          <li key={index}>
            <span className="muted">
              <Time at={step.at} short />
            </span>{" "}
            <strong>{word("update_state", step.state)}</strong> <span className="muted">{step.text}</span>
          </li>
        ))}
      </ol>
      <p className="muted ids">
        {order.permit_id ? (
          <span title={order.permit_id}>{t("evidence.permit", { id: order.permit_id.slice(0, 12) })}</span>
        ) : null}
        {order.command_id ? (
          <span title={order.command_id}>
            {t("evidence.command", { id: order.command_id.slice(0, 12), sequence: order.sequence ?? "—" })}
          </span>
        ) : null}
        <span>
          {t("evidence.expires")} <Time at={order.expires_at} short />
        </span>
      </p>
    </li>
  );
}

/** Orders with every step, as the server keeps them. */
export const Orders = ({
  orders,
  linksVehicle,
}: {
  orders: readonly UpdateOrder[];
  linksVehicle: boolean;
}) =>
  orders.length === 0 ? (
    <Empty title={t("update.none")} />
  ) : (
    <ul className="evidence-list">
      {orders.map((each) => (
        <Order key={each.id} order={each} linksVehicle={linksVehicle} />
      ))}
    </ul>
  );
