import { useSyncExternalStore } from "react";
import { t } from "../lib/i18n";

type Toast = {
  id: number;
  text: string;
  bad?: boolean;
  action?: { label: string; keys: string; run(): unknown };
};
const SHOWN_MS = 6_000;
const SHOWN_MAX = 4;

let list: readonly Toast[] = [];
let lastId = 0;
const listeners = new Set<() => void>();
const change = (next: readonly Toast[]) => {
  list = next;
  for (const listener of listeners) listener();
};

export const dismiss = (id: number) => change(list.filter((each) => each.id !== id));

/** Shows a short text and returns its id; the oldest goes when there are too many. */
export function toast({ ms = SHOWN_MS, ...content }: Omit<Toast, "id"> & { ms?: number }): number {
  lastId += 1;
  const id = lastId;
  change([...list, { id, ...content }].slice(-SHOWN_MAX));
  setTimeout(() => dismiss(id), content.bad ? ms * 2 : ms);
  return id;
}

export function Toasts() {
  const shown = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => list,
  );
  return (
    <div className="toasts" role="status" aria-live="polite">
      {shown.map((each) => (
        <div key={each.id} className={`toast ${each.bad ? "bad" : ""}`}>
          <span className="grow">{each.text}</span>
          {each.action ? (
            <button type="button" className="button small" onClick={() => void each.action?.run()}>
              {each.action.label} <kbd>{each.action.keys}</kbd>
            </button>
          ) : null}
          <button
            type="button"
            className="button quiet small"
            aria-label={t("toast.dismiss")}
            onClick={() => dismiss(each.id)}
          >
            ×
          </button>
        </div>
      ))}
    </div>
  );
}
