import { Fragment } from "react";
import { t } from "../lib/i18n";
import { usePreferences } from "../lib/preferences";
import { Dialog } from "../ui/parts";
import { Keys } from "./actions/context";
import { help } from "./actions/registry";

/** Every act and its keys: a view of the registry. */
export function Help({ close }: { close(): void }) {
  const { singleKeys } = usePreferences();
  return (
    <Dialog title={t("top.help")} className="help" onClose={close}>
      <div className="content">
        <p className="muted">{t(singleKeys ? "help.single_on" : "help.single_off")}</p>
        <div className="help-columns">
          {help().map((group) => (
            <section key={group.scope}>
              <h2>{t(`scope.${group.scope}`)}</h2>
              <dl>
                {group.actions.map((action) => (
                  <Fragment key={action.id}>
                    <dt>{t(action.title)}</dt>
                    <dd>
                      {action.keys?.map((keys) => <Keys key={keys} keys={keys} />) ?? (
                        <span className="muted">{t("help.palette_only")}</span>
                      )}
                    </dd>
                  </Fragment>
                ))}
              </dl>
            </section>
          ))}
        </div>
        <div className="foot">
          <button type="button" className="button" onClick={close}>
            {t("dialog.close")}
          </button>
        </div>
      </div>
    </Dialog>
  );
}
