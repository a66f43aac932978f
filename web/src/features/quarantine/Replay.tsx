import { useState, type FormEvent } from "react";
import { counted, t } from "../../lib/i18n";
import { Dialog } from "../../ui/parts";
import { problemText } from "../../ui/states";
import { toast } from "../../ui/toasts";
import { replay, type ReplayTarget } from "./api";
import { Chosen } from "./Chosen";

type Props = { target: ReplayTarget; entries: number; done(): void; close(): void };

/** Says what is going to be taken again, and has it done. */
export function Replay({ target, entries, done, close }: Props) {
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    setBusy(true);
    try {
      const requested = await replay(target);
      toast({ text: counted("quarantine.requested", requested) });
      done();
      close();
    } catch (error) {
      setProblem(problemText(error));
      setBusy(false);
    }
  };
  return (
    <Dialog title={t("action.quarantine.replay")} onClose={close}>
      <form onSubmit={(event) => void submit(event)}>
        <p>{t("quarantine.effect")}</p>
        <p className="row wrap">
          <strong>{counted("quarantine.entries", entries)}</strong>
          {"ids" in target ? null : <Chosen search={target} />}
        </p>
        <p role="alert" className="c-critical">
          {problem}
        </p>
        <div className="foot">
          <button type="button" className="button" onClick={close}>
            {t("dialog.cancel")}
          </button>
          <button type="submit" className="button primary" disabled={busy} data-first>
            {t("action.quarantine.replay")}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
