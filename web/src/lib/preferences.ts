import { useSyncExternalStore } from "react";
import type { Zone } from "./time";

export type Theme = "dark" | "light";
/** What a person may set for this browser; all of it may be forgotten. */
export type Preferences = { theme: Theme; zone: Zone; singleKeys: boolean };

const KEY = "outrider.preferences";
const listeners = new Set<() => void>();
let current = read();

function read(): Preferences {
  const system: Theme = globalThis.matchMedia?.("(prefers-color-scheme: light)").matches ? "light" : "dark";
  const fallback: Preferences = { theme: system, zone: "utc", singleKeys: true };
  try {
    const saved: unknown = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    if (typeof saved !== "object" || saved === null) return fallback;
    const { theme, zone, singleKeys } = saved as Record<string, unknown>;
    return {
      theme: theme === "light" || theme === "dark" ? theme : fallback.theme,
      zone: zone === "local" ? "local" : "utc",
      singleKeys: singleKeys !== false,
    };
  } catch {
    return fallback;
  }
}

function apply() {
  document.documentElement.dataset["theme"] = current.theme;
}

/** Changes some preferences, shows them at once and remembers them where the browser allows it. */
export function setPreferences(change: Partial<Preferences>) {
  current = { ...current, ...change };
  apply();
  try {
    localStorage.setItem(KEY, JSON.stringify(current));
  } catch {
    // A browser without storage keeps the choice for this tab only.
  }
  for (const listener of listeners) listener();
}

export const preferences = (): Preferences => current;

export function usePreferences(): Preferences {
  return useSyncExternalStore((listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, preferences);
}

/** Applies the remembered theme before the first paint. */
export const startPreferences = apply;
