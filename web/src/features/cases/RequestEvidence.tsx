import { useState, type FormEvent } from "react";
import type { EvidenceTarget } from "../../app/actions/types";
import { t } from "../../lib/i18n";
import { Dialog } from "../../ui/parts";
import { problemText } from "../../ui/states";
import { useStop } from "../stop/api";
import { CaseSelect } from "./AlertDialogs";
import { createCase, requestEvidence } from "./api";

/** What is asked for unless one says otherwise: enough to see the run-up, small enough for a mobile link. */
const SECONDS_BEFORE = 10;
const SECONDS_AFTER = 5;

/** Asks for the capture around one event. The safety gate and then the vehicle decide; this only asks. */
export function RequestEvidence({
  target,
  go,
  close,
}: {
  target: EvidenceTarget;
  go(href: string): void;
  close(): void;
}) {
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const stopped = useStop().data?.is_set;
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setBusy(true);
    try {
      const chosen = target.caseId ?? String(form.get("case") ?? "");
      const caseId = chosen || (await createCase(target.title, "medium", [])).id;
      await requestEvidence(caseId, {
        vehicle_id: target.vehicleId,
        event_id: target.eventId,
        seconds_before: Number(form.get("before")),
        seconds_after: Number(form.get("after")),
      });
      close();
      go(`/cases/${encodeURIComponent(caseId)}`);
    } catch (error) {
      setProblem(problemText(error));
      setBusy(false);
    }
  };
  return (
    <Dialog title={t("action.evidence")} onClose={close}>
      <form onSubmit={(event) => void submit(event)}>
        <p>{t("evidence.explain")}</p>
        {stopped ? <p className="c-critical">{t("evidence.stopped")}</p> : null}
        <dl className="facts">
          <dt>{t("evidence.event")}</dt>
          <dd>{target.title}</dd>
          <dt>{t("vehicle.id")}</dt>
          <dd className="mono">{target.vehicleId}</dd>
        </dl>
        <div className="row">
          <label className="field grow">
            <span>{t("evidence.before")}</span>
            <input
              name="before"
              type="number"
              min={0}
              step={1}
              required
              defaultValue={SECONDS_BEFORE}
              autoFocus
            />
          </label>
          <label className="field grow">
            <span>{t("evidence.after")}</span>
            <input name="after" type="number" min={0} step={1} required defaultValue={SECONDS_AFTER} />
          </label>
        </div>
        {target.caseId ? null : <CaseSelect extra={t("case.new_one")} />}
        <p role="alert" className="c-critical">
          {problem}
        </p>
        <div className="foot">
          <button type="button" className="button" onClick={close}>
            {t("dialog.cancel")}
          </button>
          <button type="submit" className="button primary" disabled={busy}>
            {t("evidence.submit")}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
