import { useMemo, useState, type KeyboardEvent } from "react";
import { t } from "../../lib/i18n";
import { useCatalogue } from "../catalogue/api";
import { allColumns } from "./columns";
import { completeAt, type Choice, type Vocabulary } from "./complete";
import { putDraft, type Target } from "./putDraft";

const LANES = ["critical", "batched", "deferred"] as const;

function useVocabulary(): Vocabulary {
  const catalogue = useCatalogue().data;
  return useMemo(
    () => ({
      columns: allColumns(catalogue),
      values: new Map([
        ["event_type", (catalogue?.event_types ?? []).map(({ name, title }) => ({ name, title }))],
        ["lane", LANES.map((name) => ({ name, title: t(`lane.${name}`) }))],
      ]),
    }),
    [catalogue],
  );
}

/** Whether suggestions are shown, and whether somebody asked for them. */
type Mode = "off" | "typed" | "asked";
type Props = Target & { draft: string };

/** Suggestions at the caret of the query, and the keys that choose among them. */
export function useCompletion({ draft, setDraft, box }: Props) {
  const vocabulary = useVocabulary();
  const [mode, setMode] = useState<Mode>("off");
  const [caret, setCaret] = useState(0);
  const [at, setAt] = useState(0);
  const completion = useMemo(
    () => (mode === "off" ? undefined : completeAt(draft, caret, vocabulary, mode === "asked")),
    [mode, draft, caret, vocabulary],
  );
  const chosen = completion && Math.min(at, completion.choices.length - 1);
  const show = (next: Mode) => {
    setCaret(box.current?.selectionEnd ?? 0);
    setMode(next);
    setAt(0);
  };
  const accept = (choice: Choice | undefined) => {
    if (!completion || !choice) return;
    const end = completion.from + choice.text.length;
    setMode("off");
    const text = `${draft.slice(0, completion.from)}${choice.text}${draft.slice(completion.to)}`;
    putDraft({ text, caret: end, setDraft, box });
  };
  const press = (event: KeyboardEvent) => {
    if (!completion || event.ctrlKey || event.metaKey || event.altKey || event.nativeEvent.isComposing) return;
    const last = completion.choices.length - 1;
    if (event.key === "ArrowDown") setAt(chosen === last ? 0 : (chosen ?? 0) + 1);
    else if (event.key === "ArrowUp") setAt(chosen === 0 ? last : (chosen ?? 0) - 1);
    else if (event.key === "Enter" || (event.key === "Tab" && !event.shiftKey))
      accept(completion.choices[chosen ?? 0]);
    else if (event.key === "Escape") setMode("off");
    else return;
    event.preventDefault();
  };
  return {
    completion,
    chosen,
    caret,
    accept,
    press,
    type: (text: string) => {
      setDraft(text);
      show("typed");
    },
    ask: () => show("asked"),
    close: () => setMode("off"),
    /** The caret went somewhere without a change of the text. */
    moved: () => box.current?.selectionEnd !== caret && setMode("off"),
  };
}

export type Suggestions = ReturnType<typeof useCompletion>;
