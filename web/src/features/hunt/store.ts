/** Queries that this browser remembers, apart for each account: the last that were run, and those that have a name. */
import { useMemo, useSyncExternalStore } from "react";

export const HISTORY_MAX = 20;
export const SAVED_MAX = 50;
export const NAME_CHARS_MAX = 80;

export type Ran = { query: string; at: string };
export type Saved = { name: string; query: string };
export type Notes = { history: readonly Ran[]; saved: readonly Saved[] };

const NONE: Notes = { history: [], saved: [] };

/** Returns the notes with `query` as the newest; what was run before moves up. */
export const remember = (notes: Notes, query: string, at: string): Notes => ({
  ...notes,
  history: [{ query, at }, ...notes.history.filter((each) => each.query !== query)].slice(0, HISTORY_MAX),
});

/** Returns the notes with `query` under `name`, by name; an older one of that name is replaced. */
export const keep = (notes: Notes, name: string, query: string): Notes => ({
  ...notes,
  saved: [...notes.saved.filter((each) => each.name !== name), { name, query }]
    .sort((a, b) => a.name.localeCompare(b.name, "en"))
    .slice(0, SAVED_MAX),
});

export const drop = (notes: Notes, name: string): Notes => ({
  ...notes,
  saved: notes.saved.filter((each) => each.name !== name),
});

const isText = (value: unknown): value is string => typeof value === "string" && value !== "";
const entries = (value: unknown): Record<string, unknown>[] =>
  Array.isArray(value) ? value.filter((each) => typeof each === "object" && each !== null) : [];

/** Reads what was remembered; what does not look like it is left out. */
export function readNotes(text: string | null): Notes {
  try {
    const found = JSON.parse(text ?? "{}") as Record<string, unknown> | null;
    return {
      history: entries(found?.["history"])
        .flatMap(({ query, at }) => (isText(query) && isText(at) ? [{ query, at }] : []))
        .slice(0, HISTORY_MAX),
      saved: entries(found?.["saved"])
        .flatMap(({ name, query }) => (isText(name) && isText(query) ? [{ name, query }] : []))
        .slice(0, SAVED_MAX),
    };
  } catch {
    return NONE;
  }
}

const listeners = new Set<() => void>();
const loaded = new Map<string, Notes>();
const keyOf = (user: string): string => `outrider.hunt.${user}`;

function notesOf(user: string): Notes {
  const known = loaded.get(user);
  if (known) return known;
  let notes = NONE;
  try {
    notes = readNotes(localStorage.getItem(keyOf(user)));
  } catch {
    // A browser without storage remembers for this tab only.
  }
  loaded.set(user, notes);
  return notes;
}

/** Changes the notes of `user`, shows them at once and stores them where the browser allows it. */
export function changeNotes(user: string, change: (notes: Notes) => Notes) {
  const next = change(notesOf(user));
  loaded.set(user, next);
  try {
    localStorage.setItem(keyOf(user), JSON.stringify(next));
  } catch {
    // Full or forbidden: they last as long as this tab.
  }
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function useNotes(user: string): Notes {
  const read = useMemo(() => () => notesOf(user), [user]);
  return useSyncExternalStore(subscribe, read);
}
