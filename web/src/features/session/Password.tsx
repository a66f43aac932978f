import { useState, type FormEvent } from "react";
import { t } from "../../lib/i18n";
import { problemText } from "../../ui/states";
import { toast } from "../../ui/toasts";
import { changePassword, logout } from "./api";

/** Asks for the old and the new password; the server judges whether the new one is good enough. */
export function PasswordForm({ done, cancel }: { done(): void; cancel: { label: string; run(): unknown } }) {
  const [problem, setProblem] = useState("");
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const next = String(form.get("next"));
    if (next !== String(form.get("again"))) return setProblem(t("password.differ"));
    try {
      await changePassword(String(form.get("old")), next);
      toast({ text: t("password.changed") });
      done();
    } catch (error) {
      setProblem(problemText(error));
    }
  };
  return (
    <form onSubmit={(event) => void submit(event)}>
      <label className="field">
        <span>{t("password.old")}</span>
        <input name="old" type="password" autoComplete="current-password" required autoFocus />
      </label>
      <label className="field">
        <span>{t("password.new")}</span>
        <input name="next" type="password" autoComplete="new-password" required />
      </label>
      <label className="field">
        <span>{t("password.again")}</span>
        <input name="again" type="password" autoComplete="new-password" required />
      </label>
      <p role="alert" className="c-critical">
        {problem}
      </p>
      <div className="foot row between">
        <button type="button" className="button" onClick={() => void cancel.run()}>
          {cancel.label}
        </button>
        <button type="submit" className="button primary">
          {t("password.submit")}
        </button>
      </div>
    </form>
  );
}

/** Stands before everything else while the account still has the password somebody else chose. */
export const MustChangePassword = ({ user }: { user: string }) => (
  <main className="gate">
    <div className="stack">
      <h1>
        <img src="/favicon.svg" alt="" width={30} height={30} />
        {t("password.must_title")}
      </h1>
      <p className="muted">{t("password.must", { user })}</p>
      <PasswordForm done={() => {}} cancel={{ label: t("action.logout"), run: logout }} />
    </div>
  </main>
);
