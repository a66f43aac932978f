import { useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useMemo, useState } from "react";
import type { SqlResult } from "../../api/types";
import { firstTime, type Bin } from "./histogram";
import { BY_NONE } from "./search";

/** How one looks at `answer`: the column over which its rows spread (in the address), and the rows of one bar of it. */
export function useView(answer: SqlResult | undefined, answeredAt: number) {
  const search = useSearch({ from: "/hunt" });
  const navigate = useNavigate({ from: "/hunt" });
  const [bin, choose] = useState<Bin>();
  useEffect(() => choose(undefined), [answer, answeredAt]);
  const named = answer?.columns.findIndex(({ name }) => name === search.by) ?? -1;
  const index = search.by === BY_NONE || !answer ? -1 : named >= 0 ? named : firstTime(answer);
  const result = useMemo(
    () =>
      answer && bin ? { ...answer, rows: bin.rows.flatMap((row) => answer.rows.slice(row, row + 1)) } : answer,
    [answer, bin],
  );
  return {
    index,
    setIndex: (next: number) =>
      void navigate({ search: { ...search, by: answer?.columns[next]?.name ?? BY_NONE }, replace: true }),
    bin,
    choose,
    /** The rows that are shown. */
    result,
  };
}

export type View = ReturnType<typeof useView>;
