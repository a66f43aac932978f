import { useState, type FormEvent } from "react";
import type { Alert, Severity } from "../../api/types";
import { counted, number, t } from "../../lib/i18n";
import { Dialog } from "../../ui/parts";
import { problemText } from "../../ui/states";
import { toast } from "../../ui/toasts";
import { actOnAlerts } from "../alerts/api";
import { SEVERITIES } from "../alerts/query";
import { count, type Selection } from "../alerts/selection";
import { createCase, useCases } from "./api";

const worst = (alerts: readonly Alert[]): Severity =>
  SEVERITIES.find((severity) => alerts.some((alert) => alert.severity === severity)) ?? "medium";

type OpenProps = {
  selection: Selection;
  title: string;
  alerts: readonly Alert[];
  go(href: string): void;
  close(): void;
};

/** Opens a case with the selected alerts. A selection by query is added by the server, not listed here. */
export function OpenCase({ selection, title, alerts, go, close }: OpenProps) {
  const [problem, setProblem] = useState("");
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const severity = SEVERITIES.find((each) => each === form.get("severity")) ?? "medium";
    try {
      const made = await createCase(
        String(form.get("title")).trim(),
        severity,
        selection.kind === "ids" ? [...selection.ids] : [],
      );
      if (selection.kind === "query")
        await actOnAlerts({ action: "add_to_case", selection, case_id: made.id });
      close();
      go(`/cases/${encodeURIComponent(made.id)}`);
    } catch (error) {
      setProblem(problemText(error));
    }
  };
  return (
    <Dialog title={t("action.open_case")} onClose={close}>
      <form onSubmit={(event) => void submit(event)}>
        <p className="muted">{counted("case.with_alerts", count(selection))}</p>
        <label className="field">
          <span>{t("case.title")}</span>
          <input name="title" required maxLength={200} defaultValue={title} autoFocus />
        </label>
        <label className="field">
          <span>{t("queue.severity")}</span>
          <select name="severity" defaultValue={worst(alerts)}>
            {SEVERITIES.map((each) => (
              <option key={each} value={each}>
                {t(`severity.${each}`)}
              </option>
            ))}
          </select>
        </label>
        <p role="alert" className="c-critical">
          {problem}
        </p>
        <div className="foot">
          <button type="button" className="button" onClick={close}>
            {t("dialog.cancel")}
          </button>
          <button type="submit" className="button primary">
            {t("action.open_case")}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** A choice among the cases that are not closed. */
export function CaseSelect({ name = "case", extra }: { name?: string; extra?: string }) {
  const cases = useCases({ status: "new,investigating" });
  const items = cases.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <label className="field">
      <span>{t("case.which")}</span>
      <select name={name} required={!extra} key={items.length}>
        {extra ? <option value="">{extra}</option> : null}
        {items.map((each) => (
          <option key={each.id} value={each.id}>
            {each.title}
          </option>
        ))}
      </select>
      {!extra && cases.isSuccess && items.length === 0 ? (
        <span className="muted">{t("case.none_open")}</span>
      ) : null}
    </label>
  );
}

export function AddToCase({ selection, done, close }: { selection: Selection; done(): void; close(): void }) {
  const [problem, setProblem] = useState("");
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    try {
      const result = await actOnAlerts({
        action: "add_to_case",
        selection,
        case_id: String(new FormData(event.currentTarget).get("case")),
      });
      done();
      close();
      toast({ text: t("toast.added", { count: number(result.changed) }) });
    } catch (error) {
      setProblem(problemText(error));
    }
  };
  return (
    <Dialog title={t("action.add_to_case")} onClose={close}>
      <form onSubmit={(event) => void submit(event)}>
        <p className="muted">{counted("case.with_alerts", count(selection))}</p>
        <CaseSelect />
        <p role="alert" className="c-critical">
          {problem}
        </p>
        <div className="foot">
          <button type="button" className="button" onClick={close}>
            {t("dialog.cancel")}
          </button>
          <button type="submit" className="button primary">
            {t("action.add_to_case")}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
