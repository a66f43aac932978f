import { useId, useState, type FormEvent } from "react";
import { t } from "../../lib/i18n";
import { Dialog } from "../../ui/parts";
import { toast } from "../../ui/toasts";
import { changeNotes, keep, NAME_CHARS_MAX, SAVED_MAX, useNotes } from "./store";

/** Gives a query a name in this browser. */
export function SaveQuery({ query, user, close }: { query: string; user: string; close(): void }) {
  const { saved } = useNotes(user);
  const [name, setName] = useState(saved.find((each) => each.query === query)?.name ?? "");
  const [problem, setProblem] = useState("");
  const names = useId();
  const replaces = saved.some((each) => each.name === name.trim());
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const given = name.trim();
    if (!given) return setProblem(t("hunt.save.no_name"));
    if (!replaces && saved.length >= SAVED_MAX) return setProblem(t("hunt.save.full", { count: SAVED_MAX }));
    changeNotes(user, (notes) => keep(notes, given, query));
    toast({ text: t("toast.query_saved", { name: given }) });
    close();
  };
  return (
    <Dialog title={t("action.hunt.save")} onClose={close}>
      <form onSubmit={submit}>
        <p className="muted">{t("hunt.save.where")}</p>
        <label className="field">
          <span>{t("hunt.save.name")}</span>
          <input
            name="name"
            value={name}
            required
            maxLength={NAME_CHARS_MAX}
            list={names}
            autoFocus
            autoComplete="off"
            onChange={(event) => setName(event.target.value)}
          />
          <datalist id={names}>
            {saved.map((each) => (
              <option key={each.name} value={each.name} />
            ))}
          </datalist>
        </label>
        <p role="alert" className={problem ? "c-critical" : "c-high"}>
          {problem || (replaces ? t("hunt.save.replaces") : "")}
        </p>
        <div className="foot">
          <button type="button" className="button" onClick={close}>
            {t("dialog.cancel")}
          </button>
          <button type="submit" className="button primary">
            {t("hunt.save.submit")}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
