import { useMemo } from "react";
import type { RevealRequest } from "../../api/types";
import { ActionButton, useActionContext, usePublish } from "../../app/actions/context";
import { granted } from "../../app/actions/types";
import { t, word } from "../../lib/i18n";
import { Age, Card, Scroll, Tag, Time } from "../../ui/parts";
import { Await, Empty } from "../../ui/states";
import { useReveals } from "./api";

const TONES = { waiting: "warn", approved: "live", opened: "plain", lapsed: "plain" } as const;

const Request = ({ request }: { request: RevealRequest }) => (
  <tr>
    <td>
      <Tag tone={TONES[request.state]}>{word("reveal.state", request.state)}</Tag>
    </td>
    <td>{request.requested_by}</td>
    <td>
      <q>{request.reason}</q>
    </td>
    <td>{request.approved_by ?? "—"}</td>
    <td>
      <Time at={request.expires_at} short />
    </td>
    <td className="num muted">
      <Age at={request.requested_at} />
    </td>
  </tr>
);

const HEADS = [
  "reveal.state",
  "reveal.asked_by",
  "reveal.reason",
  "reveal.approved_by",
  "reveal.expires",
  "queue.age",
] as const;

function Shown({ id, requests }: { id: string; requests: readonly RevealRequest[] }) {
  usePublish(
    "reveal",
    useMemo(() => ({ id, requests }), [id, requests]),
  );
  return requests.length === 0 ? (
    <Empty title={t("reveal.none")} />
  ) : (
    <Scroll label={t("reveal.requests")}>
      <table>
        <thead>
          <tr>
            {HEADS.map((head) => (
              <th key={head} className={head === "queue.age" ? "num" : ""}>
                {t(head)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {requests.map((each) => (
            <Request key={each.id} request={each} />
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function Requests({ id }: { id: string }) {
  const query = useReveals(id);
  return <Await query={query}>{(requests) => <Shown id={id} requests={requests} />}</Await>;
}

/** Who asked for the vehicle's VIN and why, and what may be done about it. The VIN itself is shown in the dialog only. */
export function Reveal({ id }: { id: string }) {
  const { user } = useActionContext();
  return (
    <Card title={t("reveal.title")}>
      <div className="row wrap">
        <ActionButton id="vehicle.vin.ask" />
        <ActionButton id="vehicle.vin.approve" />
        <ActionButton id="vehicle.vin.open" />
      </div>
      {granted(user.role, "engineer") ? <Requests id={id} /> : <Empty title={t("reason.engineer")} />}
    </Card>
  );
}
