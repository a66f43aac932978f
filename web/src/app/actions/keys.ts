/** Keyboard grammar: names of keys, sequences, and which action a press means. Pure. */
import type { Action, Handles } from "./types";

export type Press = Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "altKey" | "shiftKey">;

/** Returns `Ctrl+k`, `Shift+x`, `?`, `Enter`; Command counts as Ctrl, Shift is named only for letters and named keys. */
export function chord(press: Press): string {
  const letter = /^[a-z]$/i.test(press.key);
  const key = letter ? press.key.toLowerCase() : press.key === " " ? "Space" : press.key;
  const named = letter || key.length > 1;
  return `${press.ctrlKey || press.metaKey ? "Ctrl+" : ""}${press.altKey ? "Alt+" : ""}${press.shiftKey && named ? "Shift+" : ""}${key}`;
}

/** Returns whether a key works without a modifier, which people must be able to switch off. */
export const isSingle = (keys: string): boolean =>
  !/^(Ctrl|Alt)\+/.test(keys) && keys !== "Escape" && keys !== "Enter";

const live = (action: Action, handles: Handles): boolean =>
  action.scope === "global" || handles[action.scope] !== undefined;

export type Match = { kind: "action"; action: Action } | { kind: "prefix" } | { kind: "none" };

/** Finds what `pressed` means after `before` (the first key of a sequence, or nothing). */
export function match(
  all: readonly Action[],
  handles: Handles,
  before: string,
  pressed: string,
  singleKeys: boolean,
): Match {
  const typed = before ? `${before} ${pressed}` : pressed;
  let prefix = false;
  for (const action of all) {
    if (!live(action, handles)) continue;
    for (const keys of action.keys ?? []) {
      if (!singleKeys && isSingle(keys)) continue;
      if (keys === typed) return { kind: "action", action };
      if (keys.startsWith(`${typed} `)) prefix = true;
    }
  }
  return prefix ? { kind: "prefix" } : { kind: "none" };
}
