import { useState, type FormEvent } from "react";
import type { EmergencyStop } from "../../api/types";
import { t, type MessageKey } from "../../lib/i18n";
import { Dialog } from "../../ui/parts";
import { problemText } from "../../ui/states";
import { actOnStop, type StopAct } from "./api";

/** What the server accepts. */
const REASON_CHARS_MAX = 500;

const TEXTS: Record<StopAct, { title: MessageKey; effect: MessageKey; reason: MessageKey }> = {
  set: { title: "action.stop.set", effect: "stop.effect.set", reason: "stop.reason.set" },
  propose: { title: "action.stop.propose", effect: "stop.effect.propose", reason: "stop.reason.release" },
  confirm: { title: "action.stop.confirm", effect: "stop.effect.confirm", reason: "stop.reason.release" },
};

type Props = { act: StopAct; stop: EmergencyStop | undefined; close(): void };

/** Says in one sentence what will happen, and asks why. */
export function StopDialog({ act, stop, close }: Props) {
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const texts = TEXTS[act];
  const keeps = act === "set" && stop?.is_set;
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const reason = String(new FormData(event.currentTarget).get("reason")).trim();
    if (!reason) return setProblem(t("stop.reason.missing"));
    setBusy(true);
    try {
      await actOnStop(act, reason);
      close();
    } catch (error) {
      setProblem(problemText(error));
      setBusy(false);
    }
  };
  return (
    <Dialog title={t(texts.title)} onClose={close}>
      <form onSubmit={(event) => void submit(event)}>
        <p>{t(keeps ? "stop.effect.keep" : texts.effect)}</p>
        {act === "confirm" && stop?.release ? (
          <p className="muted">
            {t("stop.proposed", { who: stop.release.by })} <q>{stop.release.reason}</q>
          </p>
        ) : null}
        <label className="field">
          <span>{t(texts.reason)}</span>
          <textarea name="reason" required maxLength={REASON_CHARS_MAX} autoFocus rows={3} />
        </label>
        <p role="alert" className="c-critical">
          {problem}
        </p>
        <div className="foot">
          <button type="button" className="button" onClick={close}>
            {t("dialog.cancel")}
          </button>
          <button type="submit" className={`button ${act === "set" ? "danger" : "primary"}`} disabled={busy}>
            {t(keeps ? "stop.keep" : texts.title)}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
