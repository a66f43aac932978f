/** Writes answers as CSV (RFC 4180: CRLF, quotes doubled). Pure. */
import type { SqlResult } from "../../api/types";

type Cell = SqlResult["rows"][number][number];

/** What vehicles send may begin like a formula, which a spreadsheet would run: such a text gets an apostrophe. */
const FORMULA = /^[=+\-@\t\r]/;

function cell(value: Cell): string {
  if (value === null) return "";
  if (typeof value !== "string") return String(value);
  const safe = FORMULA.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Returns the answer with a heading line; a missing value is an empty cell. */
export const toCsv = ({ columns, rows }: Pick<SqlResult, "columns" | "rows">): string =>
  [columns.map((column) => cell(column.name)), ...rows.map((row) => row.map(cell))]
    .map((line) => `${line.join(",")}\r\n`)
    .join("");
