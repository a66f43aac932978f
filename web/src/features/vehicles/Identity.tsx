import type { VehicleIdentity } from "../../api/types";
import { ActionButton, usePublish } from "../../app/actions/context";
import { number, t, word } from "../../lib/i18n";
import { Age, Card, Scroll, Tag, Time } from "../../ui/parts";
import { Await, Empty } from "../../ui/states";
import { useIdentity } from "./api";

const Certificates = ({ identity }: { identity: VehicleIdentity }) => (
  <Card title={t("identity.certificates")} flush>
    {identity.certificates.length === 0 ? (
      <Empty title={t("identity.certificates.none")} />
    ) : (
      <Scroll label={t("identity.certificates")}>
        <table>
          <thead>
            <tr>
              <th>{t("identity.serial")}</th>
              <th>{t("identity.key")}</th>
              <th className="num">{t("identity.generation")}</th>
              <th>{t("identity.not_after")}</th>
              <th>{t("identity.revoked")}</th>
            </tr>
          </thead>
          <tbody>
            {identity.certificates.map((each) => (
              <tr key={each.serial}>
                <td className="mono">{each.serial}</td>
                <td>{word("suite", each.suite)}</td>
                <td className="num">{number(each.generation)}</td>
                <td>
                  <Time at={each.not_after} short />
                </td>
                <td className={each.revoked_at ? "c-high" : ""}>
                  <Time at={each.revoked_at} short />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    )}
  </Card>
);

const Log = ({ identity }: { identity: VehicleIdentity }) => (
  <Card title={t("identity.log")} flush>
    {identity.log.length === 0 ? (
      <Empty title={t("identity.log.none")} />
    ) : (
      <Scroll label={t("identity.log")}>
        <table>
          <thead>
            <tr>
              <th>{t("identity.action")}</th>
              <th>{t("identity.outcome")}</th>
              <th className="num">{t("identity.times")}</th>
              <th>{t("identity.actor")}</th>
              <th>{t("identity.detail")}</th>
              <th className="num">{t("queue.age")}</th>
            </tr>
          </thead>
          <tbody>
            {identity.log.map((line, index) => (
              <tr key={`${line.first_at}${index}`}>
                <td className="mono">{line.action}</td>
                <td className={`mono ${line.outcome === "done" ? "" : "c-high"}`}>{line.outcome}</td>
                <td className="num">{number(line.times)}</td>
                <td>{line.actor}</td>
                <td>{line.detail}</td>
                <td className="num muted">
                  <Age at={line.last_at} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    )}
  </Card>
);

function Shown({ identity }: { identity: VehicleIdentity }) {
  usePublish("identity", identity);
  return (
    <div className="stack loose">
      <Card title={t("identity.title")}>
        <div className="row wrap">
          <Tag tone={identity.state === "active" ? "ok" : "warn"}>{word("identity.state", identity.state)}</Tag>
          {identity.reason ? <q>{identity.reason}</q> : null}
          {identity.changed_by ? (
            <span className="muted">
              {t("by", { who: identity.changed_by })}, <Time at={identity.changed_at} />
            </span>
          ) : null}
          <span className="muted">
            {t("identity.batch_keys")} {number(identity.batch_keys.length)}
          </span>
        </div>
        <div className="row wrap">
          <ActionButton id="vehicle.suspend" />
          <ActionButton id="vehicle.resume" />
          <ActionButton id="vehicle.revoke" />
        </div>
      </Card>
      <Certificates identity={identity} />
      <Log identity={identity} />
    </div>
  );
}

/** Whether the vehicle is let in, with which certificates, and how it came to that. */
export function Identity({ id }: { id: string }) {
  const query = useIdentity(id);
  return <Await query={query}>{(identity) => <Shown identity={identity} />}</Await>;
}
