import type { RefObject } from "react";
import { ActionButton } from "../../app/actions/context";
import { number, t } from "../../lib/i18n";
import { Card } from "../../ui/parts";
import { LIMITS, QUERY_CHARS_MAX } from "./search";
import type { Hunt } from "./useHunt";

type Props = { hunt: Hunt; box: RefObject<HTMLTextAreaElement | null> };

/** The query being written, and what one may do with it. */
export function Editor({ hunt, box }: Props) {
  return (
    <Card title={t("hunt.query")} aside={<span className="muted">{t("hunt.query.note")}</span>}>
      <div className="stack">
        <textarea
          ref={box}
          className="sql"
          value={hunt.draft}
          maxLength={QUERY_CHARS_MAX}
          rows={9}
          spellCheck={false}
          autoCapitalize="off"
          autoCorrect="off"
          aria-label={t("hunt.query")}
          aria-describedby="hunt-help"
          onChange={(event) => hunt.setDraft(event.target.value)}
        />
        <div className="row wrap">
          <ActionButton id="hunt.run" primary />
          {hunt.answer.isFetching ? <ActionButton id="hunt.cancel" /> : null}
          <ActionButton id="hunt.save" />
          <label className="row">
            <span className="muted">{t("hunt.limit")}</span>
            <select value={hunt.limit} onChange={(event) => hunt.setLimit(Number(event.target.value))}>
              {LIMITS.map((limit) => (
                <option key={limit} value={limit}>
                  {number(limit)}
                </option>
              ))}
            </select>
          </label>
        </div>
        <p id="hunt-help" className="muted">
          {t(hunt.isLong ? "hunt.too_long" : "hunt.help")}
        </p>
      </div>
    </Card>
  );
}
