/** Connects pages, buttons and keys with the registry. */
import {
  createContext,
  useContext,
  useEffect,
  useId,
  useRef,
  useSyncExternalStore,
  type ReactNode,
} from "react";
import { t } from "../../lib/i18n";
import { usePreferences } from "../../lib/preferences";
import { toast } from "../../ui/toasts";
import { chord, match } from "./keys";
import { action as find, ACTIONS } from "./registry";
import { availability, type Action, type Context, type Handles, type ShellHandle } from "./types";
import type { SessionUser } from "../../api/types";
import { problemText } from "../../ui/states";
import { offerUndo, takeUndo, canUndo, subscribeUndo } from "./undo";

/** `isModal` is true from the moment a dialog is asked for: what is typed while its code loads must not be taken for shortcuts. */
export type Store = { user: SessionUser; isModal(): boolean; shell: Omit<ShellHandle, "canUndo" | "undo"> };

let handles: Handles = {};
const listeners = new Set<() => void>();
const notify = () => {
  for (const listener of listeners) listener();
};

/** Puts what a page can do at the disposal of actions while it is on screen. Give a handle that keeps its identity. */
export function usePublish<S extends keyof Handles>(scope: S, handle: Handles[S]) {
  useEffect(() => {
    handles = { ...handles, [scope]: handle };
    notify();
    return () => {
      handles = { ...handles, [scope]: undefined };
      notify();
    };
  }, [scope, handle]);
}

const StoreContext = createContext<Store | undefined>(undefined);

function useStore(): Store {
  const store = useContext(StoreContext);
  if (!store) throw new Error("actions are used outside of the shell");
  return store;
}

const makeContext = (store: Store): Context => ({
  ...handles,
  user: store.user,
  shell: { ...store.shell, canUndo: canUndo(), undo: async () => void (await takeUndo()?.run()) },
});

/** Returns what actions see, renewed whenever a page publishes something. */
export function useActionContext(): Context {
  const store = useStore();
  useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      const stop = subscribeUndo(listener);
      return () => {
        listeners.delete(listener);
        stop();
      };
    },
    () => handles,
  );
  return makeContext(store);
}

/** Does `action` now, or says why not. */
export async function perform(action: Action, context: Context) {
  const available = availability(action, context);
  if (available !== true) {
    toast({ text: t("toast.cannot", { action: t(action.title), reason: t(available) }) });
    return;
  }
  try {
    const undo = await action.run(context);
    if (undo) offerUndo(undo);
  } catch (error) {
    toast({ text: problemText(error), bad: true });
  }
}

/** The one place that listens to keys. */
function useKeys(store: Store) {
  const { singleKeys } = usePreferences();
  const before = useRef("");
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const press = (event: KeyboardEvent) => {
      if (
        event.defaultPrevented ||
        event.isComposing ||
        ["Shift", "Control", "Alt", "Meta"].includes(event.key)
      )
        return;
      const target = event.target instanceof HTMLElement ? event.target : undefined;
      const typing =
        target?.closest("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]") !==
          null && target !== undefined;
      const pressed = chord(event);
      if (store.isModal() || document.querySelector("dialog[open]")) return;
      if (typing && pressed === "Escape") return target?.blur();
      if (typing && !pressed.startsWith("Ctrl+")) return;
      // Enter and Space belong to the button or link that has the focus.
      if (pressed === "Enter" && target?.closest("a, button, summary, [role=tab]")) return;
      const found = match(ACTIONS, handles, before.current, pressed, singleKeys);
      clearTimeout(timer);
      before.current = found.kind === "prefix" ? pressed : "";
      if (found.kind === "prefix") timer = setTimeout(() => (before.current = ""), 1200);
      if (found.kind !== "action") return;
      event.preventDefault();
      void perform(found.action, makeContext(store));
    };
    document.addEventListener("keydown", press);
    return () => {
      clearTimeout(timer);
      document.removeEventListener("keydown", press);
    };
  }, [store, singleKeys]);
}

export function ActionProvider({ store, children }: { store: Store; children: ReactNode }) {
  useKeys(store);
  return <StoreContext value={store}>{children}</StoreContext>;
}

export function Keys({ keys }: { keys: string }) {
  return (
    <kbd>
      {keys
        .replace("Arrow", "")
        .replace("Escape", "Esc")
        .replace(/\+(\w)$/, (_whole, letter: string) => `+${letter.toUpperCase()}`)}
    </kbd>
  );
}

type ButtonProps = { id: string; className?: string; label?: string; primary?: boolean; hideKeys?: boolean };

/** A view of one action. A refused one stays focusable and tells why. */
export function ActionButton({ id, className = "", label, primary, hideKeys }: ButtonProps) {
  const context = useActionContext();
  const reasonId = useId();
  const action = find(id);
  const available = availability(action, context);
  const reason = available === true ? undefined : t(available);
  const first = action.keys?.[0];
  return (
    <button
      type="button"
      className={`button ${primary && !reason ? "primary" : ""} ${className}`}
      aria-disabled={reason !== undefined}
      aria-describedby={reason ? reasonId : undefined}
      title={reason}
      onClick={() => void perform(action, context)}
    >
      {label ?? t(action.title)}
      {first && !hideKeys ? <Keys keys={first} /> : null}
      {reason ? (
        <span id={reasonId} className="sr">
          {reason}
        </span>
      ) : null}
    </button>
  );
}
