import { useEffect, useRef } from "react";
import { t } from "../../lib/i18n";
import { caretCell } from "./complete";
import type { Suggestions } from "./useCompletion";

type Props = { id: string; draft: string; scroll: { x: number; y: number }; suggestions: Suggestions };

/** What could stand at the caret, below it. */
export function Suggest({ id, draft, scroll, suggestions }: Props) {
  const { completion, chosen, accept } = suggestions;
  const list = useRef<HTMLUListElement>(null);
  useEffect(() => {
    list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  }, [chosen, completion]);
  if (!completion) return null;
  const { line, column } = caretCell(draft, completion.from);
  return (
    <ul
      ref={list}
      id={id}
      role="listbox"
      className="suggest"
      aria-label={t("hunt.suggest")}
      style={{
        insetInlineStart: `clamp(0px, calc(${column}ch - ${scroll.x}px), calc(100% - 24rem))`,
        insetBlockStart: `calc(${line + 1} * var(--sql-line) - ${scroll.y}px)`,
      }}
    >
      {completion.choices.map((choice, index) => (
        <li
          key={`${choice.kind} ${choice.text}`}
          id={`${id}-${index}`}
          role="option"
          aria-selected={index === chosen}
          // The query keeps the focus.
          onMouseDown={(event) => event.preventDefault()}
          onClick={() => accept(choice)}
        >
          <span>{choice.text}</span>
          <span className="muted clip">{choice.note ?? t(`hunt.suggest.${choice.kind}`)}</span>
        </li>
      ))}
    </ul>
  );
}
