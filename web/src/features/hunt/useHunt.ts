import { useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { cancelQuery, runQuery, useAnswer } from "./api";
import { EXAMPLES } from "./examples";
import { fitsAddress, LIMIT_DEFAULT } from "./search";
import { changeNotes, remember, useNotes } from "./store";

/** What was being written, by account, so that following a link loses nothing. */
const drafts = new Map<string, string>();

/** The state of the page: what is being written, what was asked (in the address), and its answer. */
export function useHunt(user: string) {
  const search = useSearch({ from: "/hunt" });
  const navigate = useNavigate({ from: "/hunt" });
  const notes = useNotes(user);
  const [draft, setDraft] = useState(search.q ?? drafts.get(user) ?? EXAMPLES[0]?.query ?? "");
  const [long, setLong] = useState<string>();
  const limit = search.limit ?? LIMIT_DEFAULT;
  const asked = { query: long ?? search.q ?? "", limit };
  const answer = useAnswer(asked);
  useEffect(() => void drafts.set(user, draft), [user, draft]);
  useEffect(() => {
    if (search.q === undefined) return;
    setDraft(search.q);
    setLong(undefined);
  }, [search.q]);

  const run = () => {
    const fits = fitsAddress(draft);
    setLong(fits ? undefined : draft);
    void navigate({ search: { ...search, q: fits ? draft : undefined } });
    changeNotes(user, (old) => remember(old, draft, new Date().toISOString()));
    void runQuery({ query: draft, limit });
  };
  /** Puts a query into the editor; one of one's own that nothing remembers goes to the history first. */
  const choose = (query: string) => {
    const known = [...notes.history, ...notes.saved, ...EXAMPLES].some((each) => each.query === draft);
    if (draft.trim() && !known) changeNotes(user, (old) => remember(old, draft, new Date().toISOString()));
    setDraft(query);
  };
  return {
    draft,
    setDraft,
    asked,
    answer,
    notes,
    limit,
    isLong: long !== undefined,
    run,
    choose,
    cancel: () => void cancelQuery(asked),
    setLimit: (next: number) =>
      void navigate({
        search: { ...search, limit: next === LIMIT_DEFAULT ? undefined : next },
        replace: true,
      }),
  };
}

export type Hunt = ReturnType<typeof useHunt>;
