import { useState, type FormEvent, type ReactNode } from "react";
import type { Rollout } from "../../api/types";
import { counted, t, word, type MessageKey } from "../../lib/i18n";
import { Dialog } from "../../ui/parts";
import { Await, Empty, problemText } from "../../ui/states";
import { toast } from "../../ui/toasts";
import { decide, propose, uploadArtifact, useArtifacts } from "./api";
import { readVehicles, type RolloutAct } from "./updates";

/** What the server accepts. */
const REASON_CHARS_MAX = 500;

type FrameProps = {
  act: MessageKey;
  effect: string;
  danger?: boolean;
  send(form: FormData): Promise<string | void>;
  close(): void;
  children: ReactNode;
};

/** Says in one sentence what will happen, and sends what was filled in; a text that comes back is what is missing. */
function Form({ act, effect, danger, send, close, children }: FrameProps) {
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setBusy(true);
    try {
      const missing = await send(form);
      if (!missing) return close();
      setProblem(missing);
    } catch (error) {
      setProblem(problemText(error));
    }
    setBusy(false);
  };
  return (
    <Dialog title={t(act)} onClose={close}>
      <form onSubmit={(event) => void submit(event)}>
        <p>{effect}</p>
        {children}
        <p role="alert" className="c-critical">
          {problem}
        </p>
        <div className="foot">
          <button type="button" className="button" onClick={close}>
            {t("dialog.cancel")}
          </button>
          <button type="submit" className={`button ${danger ? "danger" : "primary"}`} disabled={busy}>
            {t(act)}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

const text = (form: FormData, name: string): string => {
  const value = form.get(name);
  return typeof value === "string" ? value.trim() : "";
};

const Reason = ({ first }: { first?: boolean }) => (
  <label className="field">
    <span>{t("identity.reason")}</span>
    <textarea name="reason" required maxLength={REASON_CHARS_MAX} autoFocus={first} rows={2} />
  </label>
);

export function UploadArtifact({ close }: { close(): void }) {
  const send = async (form: FormData) => {
    const file = form.get("file");
    if (!(file instanceof File) || file.size === 0) return t("artifact.file.missing");
    const stored = await uploadArtifact(file);
    const kind = word("artifact_kind", stored.kind);
    toast({ text: t("artifact.stored", { what: t("update.what", { kind, version: stored.version }) }) });
    return undefined;
  };
  return (
    <Form act="action.updates.upload" effect={t("artifact.effect")} send={send} close={close}>
      <label className="field">
        <span>{t("artifact.file")}</span>
        <input name="file" type="file" required autoFocus />
      </label>
    </Form>
  );
}

export function ProposeRollout({ vehicle, close }: { vehicle: string | undefined; close(): void }) {
  const artifacts = useArtifacts();
  const [byPlatform, setByPlatform] = useState(false);
  const send = async (form: FormData) => {
    const vehicles = readVehicles(text(form, "vehicles"));
    const platform = text(form, "platform");
    const reason = text(form, "reason");
    if (!reason) return t("identity.reason.missing");
    if (byPlatform ? !platform : vehicles.length === 0) return t("rollout.vehicles.missing");
    const whom = byPlatform ? { platform, vehicle_ids: [] } : { vehicle_ids: vehicles };
    await propose({ sha256: text(form, "artifact"), reason, ...whom });
    return undefined;
  };
  return (
    <Form act="action.updates.propose" effect={t("rollout.effect.propose")} send={send} close={close}>
      <Await query={artifacts}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty title={t("artifact.none")} />
          ) : (
            <label className="field">
              <span>{t("artifact.one")}</span>
              <select name="artifact" autoFocus>
                {items.map((each) => (
                  <option key={each.sha256} value={each.sha256}>
                    {t("update.what", { kind: word("artifact_kind", each.kind), version: each.version })}{" "}
                    {each.platform ?? ""} {each.sha256.slice(0, 12)}
                  </option>
                ))}
              </select>
            </label>
          )
        }
      </Await>
      <label className="row">
        <input
          type="checkbox"
          name="by_platform"
          checked={byPlatform}
          onChange={(event) => setByPlatform(event.target.checked)}
        />
        <span>{t("rollout.by_platform")}</span>
      </label>
      {byPlatform ? (
        <label className="field">
          <span>{t("vehicle.platform")}</span>
          <input name="platform" required />
        </label>
      ) : (
        <label className="field">
          <span>{t("rollout.vehicles.field")}</span>
          <textarea name="vehicles" className="mono" required rows={2} defaultValue={vehicle} />
        </label>
      )}
      <Reason />
    </Form>
  );
}

export function DecideRollout({ act, rollout, close }: { act: RolloutAct; rollout: Rollout; close(): void }) {
  const isConfirmation = act === "confirm";
  const send = async (form: FormData) => {
    const reason = text(form, "reason");
    if (!reason) return t("identity.reason.missing");
    await decide(rollout.id, act, reason);
    return undefined;
  };
  return (
    <Form
      act={isConfirmation ? "action.updates.confirm" : "action.updates.cancel"}
      effect={t(isConfirmation ? "rollout.effect.confirm" : "rollout.effect.cancel")}
      danger={!isConfirmation}
      send={send}
      close={close}
    >
      <p>
        <strong>
          {t("update.what", { kind: word("artifact_kind", rollout.kind), version: rollout.version })}
        </strong>{" "}
        {counted("rollout.count", rollout.vehicles)}
      </p>
      <p className="muted">
        {t("by", { who: rollout.proposed_by })} <q>{rollout.reason}</q>
      </p>
      <Reason first />
    </Form>
  );
}
