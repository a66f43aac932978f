import { useId, useState, type RefObject } from "react";
import { ActionButton } from "../../app/actions/context";
import { number, t } from "../../lib/i18n";
import { Card } from "../../ui/parts";
import { LIMITS, QUERY_CHARS_MAX } from "./search";
import { Suggest } from "./Suggest";
import type { Suggestions } from "./useCompletion";
import type { Hunt } from "./useHunt";

type Box = { hunt: Hunt; box: RefObject<HTMLTextAreaElement | null>; suggestions: Suggestions };

/** Where the query is written. Its lines are not wrapped, so that the suggestions find the caret. */
function QueryBox({ hunt, box, suggestions }: Box) {
  const list = useId();
  const [scroll, setScroll] = useState({ x: 0, y: 0 });
  const { completion, chosen } = suggestions;
  return (
    <div className="sql-box">
      <textarea
        ref={box}
        className="sql"
        wrap="off"
        value={hunt.draft}
        maxLength={QUERY_CHARS_MAX}
        rows={9}
        spellCheck={false}
        autoCapitalize="off"
        autoCorrect="off"
        aria-label={t("hunt.query")}
        aria-describedby="hunt-help"
        aria-autocomplete="list"
        aria-controls={completion ? list : undefined}
        aria-activedescendant={completion ? `${list}-${chosen}` : undefined}
        onChange={(event) => suggestions.type(event.target.value)}
        onKeyDown={suggestions.press}
        onSelect={suggestions.moved}
        onBlur={suggestions.close}
        onScroll={({ currentTarget }) =>
          setScroll({ x: currentTarget.scrollLeft, y: currentTarget.scrollTop })
        }
      />
      <Suggest id={list} draft={hunt.draft} scroll={scroll} suggestions={suggestions} />
    </div>
  );
}

/** The query being written, and what one may do with it. */
export function Editor({ hunt, box, suggestions }: Box) {
  return (
    <Card title={t("hunt.query")} aside={<span className="muted">{t("hunt.query.note")}</span>}>
      <div className="stack">
        <QueryBox hunt={hunt} box={box} suggestions={suggestions} />
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
