import { useNavigate } from "@tanstack/react-router";
import { t } from "../../lib/i18n";
import { ActionButton } from "../../app/actions/context";
import { Detail } from "./Detail";

/** The alert beside its queue. */
export default function Pane({ id }: { id: string }) {
  const navigate = useNavigate({ from: "/alerts" });
  return (
    <aside className="pane" aria-label={t("alert.pane")}>
      <div className="pane-bar">
        <ActionButton id="alert.previous" className="quiet small" />
        <ActionButton id="alert.next" className="quiet small" />
        <ActionButton id="alert.full" className="quiet small" />
        <span className="grow" />
        <button type="button" className="button quiet small" onClick={() => void navigate({ search: (old) => ({ ...old, sel: undefined }) })}>{t("alert.close_pane")} <kbd>Esc</kbd></button>
      </div>
      <Detail key={id} id={id} />
    </aside>
  );
}
