/** The last act that can be taken back, for ten seconds. */
import { t } from "../../lib/i18n";
import { dismiss, toast } from "../../ui/toasts";
import type { Undo } from "./types";

export const UNDO_MS = 10_000;
const listeners = new Set<() => void>();
let offered: Undo | undefined;
let shown: number | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;

const notify = () => {
  for (const listener of listeners) listener();
};

export function subscribeUndo(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export const canUndo = (): boolean => offered !== undefined;

/** Returns the act to take back, and withdraws the offer. */
export function takeUndo(): Undo | undefined {
  const taken = offered;
  offered = undefined;
  clearTimeout(timer);
  if (shown !== undefined) dismiss(shown);
  shown = undefined;
  notify();
  return taken;
}

export function offerUndo(undo: Undo) {
  takeUndo();
  offered = undo;
  timer = setTimeout(takeUndo, UNDO_MS);
  shown = toast({
    text: undo.text,
    ms: UNDO_MS,
    action: { label: t("action.undo"), keys: "z", run: () => takeUndo()?.run() },
  });
  notify();
}
