import type { RefObject } from "react";
import { flushSync } from "react-dom";

/** The box in which a query is written, and the state behind it. */
export type Target = { setDraft(text: string): void; box: RefObject<HTMLTextAreaElement | null> };

/** Puts a text into the box and the caret into the text, at once: the next key may be on its way. */
export function putDraft({ text, caret, setDraft, box }: Target & { text: string; caret: number }) {
  flushSync(() => setDraft(text));
  box.current?.focus();
  box.current?.setSelectionRange(caret, caret);
}
