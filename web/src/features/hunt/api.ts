import { useQuery } from "@tanstack/react-query";
import { ask, http } from "../../api/client";
import { client } from "../../app/client";

/** An answer may be large; it is kept long enough to follow a link and come back. */
const KEEP_MS = 120_000;

export type Question = { query: string; limit: number };

const options = ({ query, limit }: Question) => ({
  queryKey: ["sql", query, limit] as const,
  queryFn: ({ signal }: { signal: AbortSignal }) =>
    ask(http.POST("/api/v1/sql", { body: { query, limit }, signal })),
  gcTime: KEEP_MS,
  retry: false,
});

/** Returns the answer to `question` if it has been run in this tab; it never runs by itself. */
export const useAnswer = (question: Question) => useQuery({ ...options(question), enabled: false });

/** Runs a query; the answer or the refusal is what `useAnswer` returns. */
export async function runQuery(question: Question) {
  await client.fetchQuery({ ...options(question), staleTime: 0 }).catch(() => undefined);
}

/** Stops waiting; the server ends the query by its own limit. */
export const cancelQuery = ({ query, limit }: Question) =>
  client.cancelQueries({ queryKey: ["sql", query, limit] });
