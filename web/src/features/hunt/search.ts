/** Rows one may ask for; the server gives at most the last. */
export const LIMITS = [100, 1_000, 10_000] as const;
export const LIMIT_DEFAULT = 1_000;
/** What the server accepts. */
export const QUERY_CHARS_MAX = 20_000;
/** Longer addresses are cut or refused by mailers, chats and proxies; such a query stays in this tab. */
export const ADDRESS_CHARS_MAX = 6_000;

/** Stands for "no column" in the address; no column of an answer has this name. */
export const BY_NONE = "-";
/** Longest name of a column that the address carries. */
const BY_CHARS_MAX = 200;

export type HuntSearch = { q?: string; limit?: number; by?: string };
export const readHuntSearch = (raw: Record<string, unknown>): HuntSearch => ({
  q: raw["q"] === undefined || raw["q"] === "" ? undefined : String(raw["q"]).slice(0, QUERY_CHARS_MAX),
  limit: LIMITS.find((limit) => limit === raw["limit"] && limit !== LIMIT_DEFAULT),
  by: raw["by"] === undefined || raw["by"] === "" ? undefined : String(raw["by"]).slice(0, BY_CHARS_MAX),
});

/** Returns whether the address may carry the query. */
export const fitsAddress = (query: string): boolean => encodeURIComponent(query).length <= ADDRESS_CHARS_MAX;
