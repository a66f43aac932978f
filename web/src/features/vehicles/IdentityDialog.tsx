import { useState, type FormEvent } from "react";
import { t, type MessageKey } from "../../lib/i18n";
import { Dialog } from "../../ui/parts";
import { problemText } from "../../ui/states";
import { changeIdentity } from "./api";
import type { IdentityAct } from "./identity";

/** What the server accepts. */
const REASON_CHARS_MAX = 500;

const TEXTS: Record<IdentityAct, { title: MessageKey; effect: MessageKey }> = {
  suspend: { title: "action.vehicle.suspend", effect: "identity.effect.suspend" },
  resume: { title: "action.vehicle.resume", effect: "identity.effect.resume" },
  revoke: { title: "action.vehicle.revoke", effect: "identity.effect.revoke" },
};

type Props = { act: IdentityAct; id: string; close(): void };

/** Says in one sentence what will happen, and asks why. */
export function IdentityDialog({ act, id, close }: Props) {
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const texts = TEXTS[act];
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const reason = String(new FormData(event.currentTarget).get("reason")).trim();
    if (!reason) return setProblem(t("identity.reason.missing"));
    setBusy(true);
    try {
      await changeIdentity(id, act, reason);
      close();
    } catch (error) {
      setProblem(problemText(error));
      setBusy(false);
    }
  };
  return (
    <Dialog title={t(texts.title)} onClose={close}>
      <form onSubmit={(event) => void submit(event)}>
        <p>{t(texts.effect)}</p>
        <p className="mono">{id}</p>
        <label className="field">
          <span>{t("identity.reason")}</span>
          <textarea name="reason" required maxLength={REASON_CHARS_MAX} autoFocus rows={3} />
        </label>
        <p role="alert" className="c-critical">
          {problem}
        </p>
        <div className="foot">
          <button type="button" className="button" onClick={close}>
            {t("dialog.cancel")}
          </button>
          <button type="submit" className={`button ${act === "resume" ? "primary" : "danger"}`} disabled={busy}>
            {t(texts.title)}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
