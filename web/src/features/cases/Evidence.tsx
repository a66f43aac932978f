import { Link } from "@tanstack/react-router";
import { evidenceAddress } from "../../api/client";
import type { EvidenceRequest } from "../../api/types";
import { bytes, t, word } from "../../lib/i18n";
import { Card, StatusTag, Tag, Time } from "../../ui/parts";
import { Empty } from "../../ui/states";
import { isVoided } from "./evidence";

function Capture({ request }: { request: EvidenceRequest }) {
  if (request.state !== "received") return null;
  return (
    <dl className="facts capture">
      <dt>{t("evidence.sha256")}</dt>
      <dd className="mono hash">{request.sha256}</dd>
      <dt>{t("evidence.capture")}</dt>
      <dd>
        {request.bytes == null ? "—" : bytes(request.bytes)}{" "}
        <span className="muted">{request.media_type}</span>{" "}
        <a className="button small" href={evidenceAddress(request.case_id, request.id)} download>
          {t("evidence.save")}
        </a>
      </dd>
    </dl>
  );
}

function Request({ request }: { request: EvidenceRequest }) {
  const voided = isVoided(request);
  return (
    <li className="evidence" data-state={request.state} data-voided={voided || undefined}>
      <div className="row wrap">
        {voided ? (
          <Tag tone="bad">{t("evidence.voided")}</Tag>
        ) : (
          <StatusTag prefix="evidence_state" status={request.state} />
        )}
        <Link
          className="mono"
          to="/vehicles/$id/{-$tab}"
          params={{ id: request.vehicle_id, tab: undefined }}
          title={request.vehicle_id}
        >
          {request.vehicle_id.slice(0, 12)}
        </Link>
        <span className="muted">
          {t("evidence.span", { before: request.seconds_before, after: request.seconds_after })}
        </span>
        <span className="grow" />
        <span className="muted">{t("by", { who: request.requested_by })}</span>
      </div>
      {request.reasons.length > 0 ? (
        <ul className="c-critical">
          {request.reasons.map((reason) => (
            <li key={reason}>{word("refusal", reason)}</li>
          ))}
        </ul>
      ) : null}
      {voided ? <p>{t("evidence.voided.hint")}</p> : null}
      {request.reasons.includes("stopped") ? <p>{t("evidence.stopped.hint")}</p> : null}
      <ol className="steps">
        {request.steps.map((step, index) => (
          <li key={index}>
            <span className="muted">
              <Time at={step.at} short />
            </span>{" "}
            <strong>{word("evidence_state", step.state)}</strong> <span className="muted">{step.text}</span>
          </li>
        ))}
      </ol>
      <Capture request={request} />
      <p className="muted ids">
        {request.permit_id ? (
          <span title={request.permit_id}>
            {t("evidence.permit", { id: request.permit_id.slice(0, 12) })}
          </span>
        ) : null}
        {request.command_id ? (
          <span title={request.command_id}>
            {t("evidence.command", {
              id: request.command_id.slice(0, 12),
              sequence: request.sequence ?? "—",
            })}
          </span>
        ) : null}
        {request.expires_at ? (
          <span>
            {t("evidence.expires")} <Time at={request.expires_at} short />
          </span>
        ) : null}
      </p>
    </li>
  );
}

/** Requests for evidence with their live state; the hash is what the server computed over the received bytes. */
export const Evidence = ({ requests }: { requests: readonly EvidenceRequest[] }) => (
  <Card title={t("evidence.title")} flush>
    {requests.length === 0 ? (
      <Empty title={t("evidence.none")}>
        <span>{t("evidence.none.hint")}</span>
      </Empty>
    ) : (
      <ul className="evidence-list">
        {requests.map((each) => (
          <Request key={each.id} request={each} />
        ))}
      </ul>
    )}
  </Card>
);
