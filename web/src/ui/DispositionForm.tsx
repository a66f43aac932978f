import { useState, type FormEvent } from "react";
import type { Disposition } from "../api/types";
import { t } from "../lib/i18n";
import { problemText } from "./states";

export const DISPOSITIONS: readonly Disposition[] = [
  "true_positive",
  "benign_true_positive",
  "false_positive",
  "hardware_fault",
  "duplicate",
  "indeterminate",
];
/** What the server accepts. */
const NOTE_CHARS_MAX = 4_000;

type Props = {
  submitLabel: string;
  noteRequired?: boolean;
  submit(disposition: Disposition, note: string): Promise<unknown>;
  close(): void;
};

/** Asks why something is closed. The note is offered for every disposition. */
export function DispositionForm({ submitLabel, noteRequired, submit, close }: Props) {
  const [problem, setProblem] = useState("");
  const send = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const disposition = DISPOSITIONS.find((each) => each === form.get("disposition"));
    if (!disposition) return setProblem(t("disposition.choose"));
    try {
      await submit(disposition, String(form.get("note")).trim());
      close();
    } catch (error) {
      setProblem(problemText(error));
    }
  };
  return (
    <form onSubmit={(event) => void send(event)}>
      <fieldset className="field">
        <legend>{t("disposition.legend")}</legend>
        <div className="choices">
          {DISPOSITIONS.map((each, index) => (
            <label key={each}>
              <input type="radio" name="disposition" value={each} required autoFocus={index === 0} />
              <span>{t(`disposition.${each}`)}</span>
              <span className="muted">{t(`disposition.hint.${each}`)}</span>
            </label>
          ))}
        </div>
      </fieldset>
      <label className="field">
        <span>{t(noteRequired ? "note.required" : "note.optional")}</span>
        <textarea name="note" maxLength={NOTE_CHARS_MAX} required={noteRequired} />
      </label>
      <p role="alert" className="c-critical">
        {problem}
      </p>
      <div className="foot">
        <button type="button" className="button" onClick={close}>
          {t("dialog.cancel")}
        </button>
        <button type="submit" className="button primary">
          {submitLabel}
        </button>
      </div>
    </form>
  );
}
