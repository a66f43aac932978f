import { useState, type FormEvent } from "react";
import type { RevealRequest } from "../../api/types";
import { t, type MessageKey } from "../../lib/i18n";
import { Dialog, Time } from "../../ui/parts";
import { problemText } from "../../ui/states";
import { approveReveal, askReveal, openReveal } from "./api";
import type { RevealAct } from "./reveal";

/** What the server accepts. */
const REASON_CHARS_MAX = 500;

const TEXTS: Record<RevealAct, { title: MessageKey; effect: MessageKey }> = {
  ask: { title: "action.vehicle.vin.ask", effect: "reveal.effect.ask" },
  approve: { title: "action.vehicle.vin.approve", effect: "reveal.effect.approve" },
  open: { title: "action.vehicle.vin.open", effect: "reveal.effect.open" },
};

const Asked = ({ request }: { request: RevealRequest }) => (
  <p className="muted">
    {t("by", { who: request.requested_by })}, <Time at={request.requested_at} /> <q>{request.reason}</q>
  </p>
);

/** The VIN lives in this component's state alone: closing the dialog forgets it. */
const Vin = ({ vin, close }: { vin: string; close(): void }) => (
  <div className="content">
    <p>{t("reveal.shown")}</p>
    <p>
      <output className="mono" aria-label={t("reveal.vin")}>
        {vin}
      </output>
    </p>
    <div className="foot">
      <button type="button" className="button primary" onClick={close} autoFocus>
        {t("reveal.forget")}
      </button>
    </div>
  </div>
);

type Props = { act: RevealAct; id: string; request: RevealRequest | undefined; close(): void };

/** Asks for a VIN, agrees to that, or shows it once. */
export function RevealDialog({ act, id, request, close }: Props) {
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const [vin, setVin] = useState<string>();
  const texts = TEXTS[act];
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const reason = String(new FormData(event.currentTarget).get("reason") ?? "").trim();
    if (act === "ask" && !reason) return setProblem(t("identity.reason.missing"));
    setBusy(true);
    try {
      if (act === "open" && request) return setVin(await openReveal(request));
      await (act === "ask" || !request ? askReveal(id, reason) : approveReveal(request));
      close();
    } catch (error) {
      setProblem(problemText(error));
      setBusy(false);
    }
  };
  return (
    <Dialog title={t(texts.title)} onClose={close}>
      {vin ? (
        <Vin vin={vin} close={close} />
      ) : (
        <form onSubmit={(event) => void submit(event)}>
          <p>{t(texts.effect)}</p>
          <p className="mono">{id}</p>
          {request ? <Asked request={request} /> : null}
          {act === "ask" ? (
            <label className="field">
              <span>{t("identity.reason")}</span>
              <textarea name="reason" required maxLength={REASON_CHARS_MAX} autoFocus rows={3} />
            </label>
          ) : null}
          <p role="alert" className="c-critical">
            {problem}
          </p>
          <div className="foot">
            <button type="button" className="button" onClick={close}>
              {t("dialog.cancel")}
            </button>
            <button type="submit" className="button primary" disabled={busy}>
              {t(texts.title)}
            </button>
          </div>
        </form>
      )}
    </Dialog>
  );
}
