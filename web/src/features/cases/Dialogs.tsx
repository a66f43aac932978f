import { useState, type FormEvent } from "react";
import { t } from "../../lib/i18n";
import { Dialog } from "../../ui/parts";
import { DispositionForm } from "../../ui/DispositionForm";
import { problemText } from "../../ui/states";
import { toast } from "../../ui/toasts";
import { addNote, closeCase } from "./api";

/** What the server accepts. */
const NOTE_CHARS_MAX = 4_000;

export const CloseCase = ({ id, close }: { id: string; close(): void }) => (
  <Dialog title={t("action.case.close")} className="wide" onClose={close}>
    <DispositionForm
      submitLabel={t("action.case.close")}
      close={close}
      noteRequired
      submit={async (disposition, note) => {
        await closeCase(id, disposition, note);
        toast({ text: t("toast.case_closed") });
      }}
    />
  </Dialog>
);

export function CaseNote({ id, close }: { id: string; close(): void }) {
  const [problem, setProblem] = useState("");
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const text = String(new FormData(event.currentTarget).get("text")).trim();
    try {
      await addNote(id, text);
      close();
    } catch (error) {
      setProblem(problemText(error));
    }
  };
  return (
    <Dialog title={t("action.case.note")} onClose={close}>
      <form onSubmit={(event) => void submit(event)}>
        <label className="field">
          <span>{t("note.label")}</span>
          <textarea name="text" required maxLength={NOTE_CHARS_MAX} autoFocus rows={6} />
        </label>
        <p role="alert" className="c-critical">
          {problem}
        </p>
        <div className="foot">
          <button type="button" className="button" onClick={close}>
            {t("dialog.cancel")}
          </button>
          <button type="submit" className="button primary">
            {t("note.submit")}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
