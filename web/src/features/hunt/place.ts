/** Finds in a refusal where in the query the fault lies. Pure. */
export type Place = { line: number; column: number; offset: number; length: number };

/** Longest part of a line that is shown around the fault, on either side. */
const AROUND_CHARS = 48;

const wordAt = (text: string, offset: number): number => /^\w+/.exec(text.slice(offset))?.[0].length ?? 1;

function fromOffset(query: string, offset: number, length: number): Place {
  const before = query.slice(0, offset).split("\n");
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1, offset, length };
}

function fromLine(query: string, line: number, column: number): Place | undefined {
  const lines = query.split("\n");
  const text = lines[line - 1];
  if (text === undefined) return undefined;
  // The server counts characters, a text here counts 16-bit units.
  const start = Array.from(text)
    .slice(0, column - 1)
    .join("").length;
  const offset = lines.slice(0, line - 1).reduce((all, each) => all + each.length + 1, 0) + start;
  return { line, column: start + 1, offset, length: wordAt(query, offset) };
}

/** The names that messages put between quotes or after "named". */
const NAMES = [
  /No field named "?([\w.]+)"?/,
  /Invalid function '(\w+)'/,
  /table '([\w.]+)' not found/,
  /Ambiguous reference to unqualified field (\w+)/,
];

function named(message: string, query: string): Place | undefined {
  const found = NAMES.map((pattern) => pattern.exec(message)?.[1]).find(Boolean);
  // Tables are named with catalogue and schema; written is usually the last part.
  const name = found?.replace(/\.$/, "").split(".").at(-1);
  if (!name) return undefined;
  const offset = query.search(new RegExp(`\\b${name}\\b`, "i"));
  return offset < 0 ? undefined : fromOffset(query, offset, name.length);
}

/** Returns the place that `message` names, or `undefined` where it names none. */
export function placeOf(message: string, query: string): Place | undefined {
  const at = /Line: (\d+), Column: (\d+)/.exec(message);
  if (at) return fromLine(query, Number(at[1]), Number(at[2]));
  if (/found: EOF/.test(message)) return fromOffset(query, query.trimEnd().length, 1);
  return named(message, query);
}

/** Returns the part of the line around `place`, and how far in it the fault begins. */
export function excerpt(query: string, place: Place): { text: string; indent: number } {
  const line = (query.split("\n")[place.line - 1] ?? "").replaceAll("\t", " ");
  const from = Math.max(0, place.column - 1 - AROUND_CHARS);
  return { text: line.slice(from, place.column - 1 + AROUND_CHARS), indent: place.column - 1 - from };
}

/** Returns the message without its wrapping and without the list of all columns, which the page shows anyway. */
export const brief = (message: string): string =>
  message
    .replace(/\s*Valid fields are [\s\S]*$/, "")
    .replace(/SQL error: ParserError\("([\s\S]*)"\)/, "$1")
    .replace(/^query is not valid: /, "")
    .trim();
