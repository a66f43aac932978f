/** Columns of the lake and of answers. Pure. */
import type { Catalogue, SqlResult } from "../../api/types";
import { t, type MessageKey } from "../../lib/i18n";

/** The columns that every event has; the catalogue's fields follow them. */
export const EVENT_COLUMNS: readonly [name: string, type: string, title: MessageKey][] = [
  ["vehicle_id", "text", "column.vehicle_id"],
  ["epoch", "int", "column.epoch"],
  ["lane", "text", "column.lane"],
  ["seq", "int", "column.seq"],
  ["event_type", "text", "column.event_type"],
  ["severity", "int", "column.severity"],
  ["event_time", "timestamp", "column.event_time"],
  ["event_time_error_us", "int", "column.event_time_error_us"],
  ["ingest_time", "timestamp", "column.ingest_time"],
  ["ingest_date", "date", "column.ingest_date"],
  ["count", "int", "column.count"],
  ["first_us", "int", "column.first_us"],
  ["last_us", "int", "column.last_us"],
  ["vehicle_us", "int", "column.vehicle_us"],
  ["bus", "int", "column.bus"],
  ["ecu", "text", "column.ecu"],
  ["model_line", "text", "column.model_line"],
  ["platform", "text", "column.platform"],
  ["release", "text", "column.release"],
  ["region", "text", "column.region"],
  ["model_year", "int", "column.model_year"],
  ["monitoring", "text", "column.monitoring"],
  ["h3", "text", "column.h3"],
  ["context", "binary", "column.context"],
  ["extensions", "text", "column.extensions"],
  ["tenant", "int", "column.tenant"],
  ["bucket", "int", "column.bucket"],
];

export type Column = { name: string; type: string; title: string };

/** Returns every column one may ask for, the general ones first. */
export const allColumns = (catalogue: Catalogue | undefined): Column[] => [
  ...EVENT_COLUMNS.map(([name, type, title]) => ({ name, type, title: t(title) })),
  ...(catalogue?.fields ?? []).map(({ name, type, title, unit }) => ({
    name,
    type: unit ? `${type}, ${unit}` : type,
    title,
  })),
];

/** Narrowest and widest column of an answer, in characters. */
const CHARS_MIN = 5;
const CHARS_MAX = 44;
/** Rows that decide how wide a column is. */
const SAMPLE = 200;

export const shown = (value: SqlResult["rows"][number][number]): string =>
  value === null ? "null" : String(value);

/** Returns the width of each column in characters, from its heading and the first rows. */
export function widths({ columns, rows }: Pick<SqlResult, "columns" | "rows">): number[] {
  const sample = rows.slice(0, SAMPLE);
  return columns.map(({ name }, index) => {
    const longest = sample.reduce(
      (most, row) => Math.max(most, shown(row[index] ?? null).length),
      name.length,
    );
    return Math.min(CHARS_MAX, Math.max(CHARS_MIN, longest));
  });
}

export const isNumeric = (type: string): boolean => type === "int" || type === "float";
