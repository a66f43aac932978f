import type { ReactNode } from "react";
import { ApiError } from "../api/client";
import { hasMessage, t } from "../lib/i18n";

/** Returns what went wrong in words; a code with a text of its own gets that, otherwise the server's message. */
export function problemText(error: unknown): string {
  if (!(error instanceof ApiError)) return t("error.unexpected");
  const key = `error.${error.code}`;
  if (hasMessage(key)) return t(key);
  return error.message ? `${error.message} (${error.code})` : error.code;
}

/** Returns a message of the API, which begins small and has no full stop, as a sentence. */
export const sentence = (message: string): string =>
  message && `${message[0]?.toUpperCase()}${message.slice(1)}${/[.!?]$/.test(message) ? "" : "."}`;

export const Loading = () => (
  <p className="skeleton" role="status">
    {t("state.loading")}
  </p>
);

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <span>{title}</span>
      {children}
    </div>
  );
}

export function Problem({ error, retry }: { error: unknown; retry?: () => unknown }) {
  return (
    <div className="problem" role="alert">
      <strong>{t("state.problem")}</strong>
      <span>{problemText(error)}</span>
      {retry ? (
        <button type="button" className="button" onClick={() => void retry()}>
          {t("state.retry")}
        </button>
      ) : null}
    </div>
  );
}

type Loaded<T> = { data: T | undefined; error: unknown; isPending: boolean; refetch(): unknown };

/** Shows the value of a query, or that it loads, or why it did not. Old values stay on screen beside a failed renewal. */
export function Await<T>({ query, children }: { query: Loaded<T>; children(value: T): ReactNode }) {
  if (query.data !== undefined) return <>{children(query.data)}</>;
  if (query.error) return <Problem error={query.error} retry={query.refetch} />;
  return <Loading />;
}
