/** What could stand at the caret of a query. Reads words, texts and comments of SQL, no grammar. Pure. */

export type Choice = {
  /** What is written, and by what it is found. */
  text: string;
  kind: "column" | "keyword" | "function" | "table" | "value";
  /** Type and meaning of a column, title of a value. */
  note?: string;
};
/** Replace the characters `from` to before `to` by one of the choices, the best first. */
export type Completion = { from: number; to: number; choices: readonly Choice[] };
export type Vocabulary = {
  columns: readonly { name: string; type: string; title: string }[];
  /** Columns with a closed list of texts, and these texts. */
  values: ReadonlyMap<string, readonly { name: string; title: string }[]>;
};

export const CHOICES_MAX = 40;
/** Characters from which suggestions come without being asked for. */
const TYPED_MIN = 2;
/** Characters from which a name that only contains them is meant. */
const INSIDE_MIN = 3;
/** Characters before a text in which the name of its column is looked for. */
const LOOK_BACK_CHARS = 400;

const KEYWORDS =
  "SELECT|DISTINCT|FROM|WHERE|AND|OR|NOT|IN|LIKE|ILIKE|BETWEEN|IS NULL|IS NOT NULL|GROUP BY|HAVING|ORDER BY|ASC|DESC|LIMIT|JOIN|LEFT JOIN|ON|AS|CASE|WHEN|THEN|ELSE|END|WITH|UNION ALL|INTERVAL|OVER|PARTITION BY"
    .split("|")
    .map((text): Choice => ({ text, kind: "keyword" }));
const FUNCTIONS =
  "count|sum|min|max|avg|coalesce|date_bin|date_part|date_trunc|lower|upper|length|row_number|lag|lead"
    .split("|")
    .map((name): Choice => ({ text: `${name}(`, kind: "function" }));
const TABLE: Choice = { text: "events", kind: "table" };
/** Columns whose names SQL knows as words, too. */
const RESERVED = new Set(["release", "count"]);

type Where = { kind: "code" | "text" | "name" | "comment"; start: number };

/** Returns what `caret` stands in, and where that begins. */
function whereIs(query: string, caret: number): Where {
  // Each alternative ends where its kind ends or at the end of the query; a doubled quote stays inside.
  const parts = /'(?:[^']|'')*(?:'|$)|"(?:[^"]|"")*(?:"|$)|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/g;
  for (const found of query.matchAll(parts)) {
    const start = found.index;
    const end = start + found[0].length;
    if (start >= caret) break;
    const open = found[0].length === 1 || !/['"/]$/.test(found[0].slice(1));
    if (caret > end || (caret === end && !open && !found[0].startsWith("--"))) continue;
    const kind = found[0].startsWith("'") ? "text" : found[0].startsWith('"') ? "name" : "comment";
    return { kind, start };
  }
  return { kind: "code", start: 0 };
}

/** Ranks: begins with what was typed, a later word of the name begins with it, contains it. */
function rank(name: string, typed: string): number {
  const lower = name.toLowerCase();
  if (lower.startsWith(typed)) return 0;
  if (new RegExp(`[_. ]${typed.replace(/[^\w]/g, "\\$&")}`).test(lower)) return 1;
  return typed.length >= INSIDE_MIN && lower.includes(typed) ? 2 : 3;
}

function best(all: readonly Choice[], typed: string): Choice[] {
  const lower = typed.toLowerCase();
  return all
    .map((choice) => ({ choice, rank: rank(choice.text.replace(/^"/, ""), lower) }))
    .filter((each) => each.rank < 3)
    .sort((a, b) => a.rank - b.rank)
    .slice(0, CHOICES_MAX)
    .map((each) => each.choice);
}

const columnsOf = ({ columns }: Vocabulary, quoted: boolean): Choice[] =>
  columns.map(({ name, type, title }) => ({
    text: quoted || !RESERVED.has(name) ? name : `"${name}"`,
    kind: "column",
    note: `${type} · ${title}`,
  }));

/** Returns the texts that the column before an open quote at `start` may have. */
function valuesOf({ values }: Vocabulary, query: string, start: number): Choice[] {
  const before = query.slice(Math.max(0, start - LOOK_BACK_CHARS), start);
  const column =
    /"?(\w+)"?\s*(?:=|<>|!=|(?:not\s+)?i?like|(?:not\s+)?in\s*\((?:\s*'(?:[^']|'')*'\s*,)*)\s*$/i.exec(before)?.[1];
  const known = column === undefined ? undefined : values.get(column.toLowerCase());
  return (known ?? []).map(({ name, title }) => ({ text: name, kind: "value", note: title }));
}

/**
 * Returns what could stand at `caret`, or nothing. Unless it was `asked` for, only after two typed characters and
 * only where a choice says more than what is there.
 */
export function completeAt(
  query: string,
  caret: number,
  vocabulary: Vocabulary,
  asked: boolean,
): Completion | undefined {
  const { kind, start } = whereIs(query, caret);
  if (kind === "comment") return undefined;
  const from =
    kind === "code" ? caret - (/\w*$/.exec(query.slice(0, caret))?.[0].length ?? 0) : start + 1;
  const typed = query.slice(from, caret);
  const to = caret + (/^[\w.]*/.exec(kind === "text" ? query.slice(caret) : "")?.[0].length ?? 0);
  if (/^\d/.test(typed) && kind === "code") return undefined;
  if (!asked && kind === "code" && typed.length < TYPED_MIN) return undefined;
  const isMember = kind === "code" && query[from - 1] === ".";
  const all =
    kind === "text"
      ? valuesOf(vocabulary, query, start)
      : kind === "name"
        ? columnsOf(vocabulary, true)
        : isMember
          ? columnsOf(vocabulary, false)
          : [...columnsOf(vocabulary, false), TABLE, ...KEYWORDS, ...FUNCTIONS];
  const choices = best(all, typed);
  const isSaid = choices.some(({ text }) => text.toLowerCase() === typed.toLowerCase());
  if (choices.length === 0 || (!asked && isSaid)) return undefined;
  return { from, to, choices };
}

/** Line and column of `caret`, from zero, as drawn with tabs of `tab` characters. */
export function caretCell(query: string, caret: number, tab = 2): { line: number; column: number } {
  const lines = query.slice(0, caret).split("\n");
  let column = 0;
  for (const char of lines.at(-1) ?? "") column += char === "\t" ? tab - (column % tab) : 1;
  return { line: lines.length - 1, column };
}
