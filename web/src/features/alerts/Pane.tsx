import { t } from "../../lib/i18n";
import { ActionButton } from "../../app/actions/context";
import { Detail } from "./Detail";

/** The alert beside its queue. */
export default function Pane({ id }: { id: string }) {
  return (
    <aside className="pane" aria-label={t("alert.pane")}>
      <div className="pane-bar">
        <ActionButton id="alert.previous" className="quiet small" />
        <ActionButton id="alert.next" className="quiet small" />
        <ActionButton id="alert.full" className="quiet small" />
        <span className="grow" />
        <ActionButton id="back" className="quiet small" label={t("alert.close_pane")} />
      </div>
      <Detail key={id} id={id} />
    </aside>
  );
}
