import { useState, type FormEvent } from "react";
import { ApiError } from "../../api/client";
import { t } from "../../lib/i18n";
import { problemText, sentence } from "../../ui/states";
import { login } from "./api";

/** The API's own sentence: whether a refused account is wrong or locked, nobody is told. */
const refusal = (error: unknown): string =>
  error instanceof ApiError && (error.status === 401 || error.status === 429)
    ? sentence(error.message)
    : problemText(error);

/** The login page. The address is kept, so that one arrives where one wanted to go. */
export function Login() {
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setBusy(true);
    try {
      await login(String(form.get("user")), String(form.get("password")));
    } catch (error) {
      setProblem(refusal(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <main className="gate">
      <form onSubmit={(event) => void submit(event)}>
        <h1>
          <img src="/favicon.svg" alt="" width={30} height={30} />
          Outrider
        </h1>
        <p className="muted">{t("login.purpose")}</p>
        <label className="field">
          <span>{t("login.user")}</span>
          <input name="user" autoComplete="username" required autoFocus />
        </label>
        <label className="field">
          <span>{t("login.password")}</span>
          <input name="password" type="password" autoComplete="current-password" required />
        </label>
        <p role="alert" className="c-critical">
          {problem}
        </p>
        <button type="submit" className="button primary" disabled={busy}>
          {t("login.submit")}
        </button>
      </form>
    </main>
  );
}
