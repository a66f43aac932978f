/** How the rows of an answer spread over one of its columns. Pure. */
import type { SqlResult } from "../../api/types";
import { shown } from "./columns";

/** Rows with a value from `from` to before `to`, with exactly `from` where there is no `to`, or one of no other bin. */
export type Bin = { from: string | number; to?: number; rest?: true; rows: readonly number[] };
export type Histogram = {
  kind: "time" | "number" | "text";
  /** In order; of times and numbers without gaps, of texts the most frequent first. */
  bins: readonly Bin[];
  /** Rows without a readable value. */
  empty: number;
};

export const BINS_MAX = 48;
/** Texts that are listed; the others share one bin. */
export const TEXTS_MAX = 16;

const SECOND = 1_000;
const DAY = 86_400 * SECOND;
/** Widths of bins of times that people count in; beyond them, whole multiples of 28 days. */
const TIME_STEPS = [
  1,
  10,
  100,
  ...[1, 5, 15, 30, 60, 300, 900, 1_800, 3_600, 10_800, 21_600, 43_200].map((s) => s * SECOND),
  ...[1, 7, 28].map((days) => days * DAY),
];

function timeStep(span: number): number {
  const found = TIME_STEPS.find((step) => span / step < BINS_MAX - 1);
  return found ?? Math.ceil(span / (BINS_MAX - 2) / (28 * DAY)) * 28 * DAY;
}

/** Returns 1, 2 or 5 times a power of ten; of whole numbers at least 1. */
function numberStep(span: number, isWhole: boolean): number {
  const least = Math.max(span / (BINS_MAX - 2), isWhole ? 1 : Number.MIN_VALUE);
  const power = 10 ** Math.floor(Math.log10(least));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= least) ?? least;
  return isWhole ? Math.max(1, Math.round(step)) : step;
}

function ranged(kind: "time" | "number", values: readonly (number | undefined)[], isWhole: boolean): Histogram {
  let least = Infinity;
  let most = -Infinity;
  for (const value of values) {
    if (value === undefined) continue;
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  if (least > most) return { kind, bins: [], empty: values.length };
  const span = most - least;
  const step = kind === "time" ? timeStep(span) : span > 0 ? numberStep(span, isWhole) : 1;
  const first = Math.floor(least / step);
  const count = Math.min(BINS_MAX, Math.floor(most / step) - first + 1);
  const rows: number[][] = Array.from({ length: count }, () => []);
  let empty = 0;
  values.forEach((value, row) => {
    if (value === undefined) empty += 1;
    else rows[Math.min(count - 1, Math.max(0, Math.floor(value / step) - first))]?.push(row);
  });
  const bins = rows.map((each, index) => ({
    from: (first + index) * step,
    to: (first + index + 1) * step,
    rows: each,
  }));
  return { kind, bins, empty };
}

function texts(values: readonly (string | undefined)[]): Histogram {
  const found = new Map<string, number[]>();
  let empty = 0;
  values.forEach((value, row) => {
    if (value === undefined) empty += 1;
    else (found.get(value) ?? found.set(value, []).get(value))?.push(row);
  });
  const all = [...found].sort((a, b) => b[1].length - a[1].length || (a[0] < b[0] ? -1 : 1));
  const listed: Bin[] = all.slice(0, TEXTS_MAX).map(([from, rows]) => ({ from, rows }));
  const others = all.slice(TEXTS_MAX);
  const rest = others.flatMap(([, rows]) => rows).sort((a, b) => a - b);
  if (rest.length > 0) listed.push({ from: others.length, rest: true, rows: rest });
  return { kind: "text", bins: listed, empty };
}

/** Returns how `rows` spread over the column at `index`. O(rows). */
export function histogram({ columns, rows }: Pick<SqlResult, "columns" | "rows">, index: number): Histogram {
  const type = columns[index]?.type;
  const cells = rows.map((row) => row[index] ?? null);
  if (type === "timestamp" || type === "date") {
    const times = cells.map((cell) => (cell === null ? Number.NaN : Date.parse(String(cell))));
    return ranged(
      "time",
      times.map((time) => (Number.isFinite(time) ? time : undefined)),
      true,
    );
  }
  if (type === "int" || type === "float") {
    const numbers = cells.map((cell) => (cell === null || cell === "" ? Number.NaN : Number(cell)));
    return ranged(
      "number",
      numbers.map((each) => (Number.isFinite(each) ? each : undefined)),
      type === "int",
    );
  }
  return texts(cells.map((cell) => (cell === null ? undefined : shown(cell))));
}

/** Returns the column that shows most at first: the first time, or none. */
export const firstTime = ({ columns }: Pick<SqlResult, "columns">): number =>
  columns.findIndex(({ type }) => type === "timestamp" || type === "date");
