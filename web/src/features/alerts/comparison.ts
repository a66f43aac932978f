/**
 * What an event's fields say was expected and what was observed. Pure, and led by names alone: `dlc_expected` with
 * `dlc_observed`, `gap_expected_us` with `gap_us`, `rate_limit_hz` with `rate_hz`, `signal_min` and `signal_max` with
 * `signal_value`, so that a new field needs no change here.
 */
import type { CatalogueField, SecurityEvent } from "../../api/types";

type Fields = SecurityEvent["fields"];
type Value = Fields[string]["value"];

/** One thing to compare. `title` is that of the observed field in the catalogue, `subject` what it is about. */
export type Comparison = { name: string; title?: string; subject?: string; unit?: string } & (
  | {
      kind: "range";
      observed: number;
      /** Lowest and highest expected; an absent end is open, equal ends are one value. */
      low?: number;
      high?: number;
    }
  | { kind: "text"; observed: string; expected: string }
);
export type Range = Extract<Comparison, { kind: "range" }>;

type Role = "expected" | "observed" | "min" | "max";
const ROLES: Readonly<Record<string, Role>> = {
  expected: "expected",
  observed: "observed",
  min: "min",
  max: "max",
  limit: "max",
  quota: "max",
  budget: "max",
};
/** Numbers that are names: how far apart two of them lie means nothing. */
const NOMINAL = new Set(["crc", "checksum", "mac", "hash", "sha256", "id", "did", "address"]);

type Group = Partial<Record<Role, string>>;

/** Returns the part a field plays and in which group, or nothing for a field that names no part. */
function partOf(name: string): { role: Role; group: string } | undefined {
  const words = name.split("_");
  const at = words.findIndex((word) => Object.hasOwn(ROLES, word));
  const role = ROLES[words[at] ?? ""];
  return role && { role, group: words.toSpliced(at, 1).join("_") };
}

function groupsOf(fields: Fields): Map<string, Group> {
  const groups = new Map<string, Group>();
  const plain: string[] = [];
  for (const name of Object.keys(fields)) {
    const part = partOf(name);
    if (!part) plain.push(name);
    else groups.set(part.group, { ...groups.get(part.group), [part.role]: name });
  }
  // A field without a part is what was observed, where something else says what was expected of it.
  for (const name of plain)
    for (const group of [name, name.replace(/_value$/, "")]) {
      const found = groups.get(group);
      if (found && !found.observed) groups.set(group, { ...found, observed: name });
    }
  return groups;
}

const isNumber = (value: Value | undefined): value is number =>
  typeof value === "number" && Number.isFinite(value);
const textOf = (value: Value): string => String(value);

function rangeOf(
  group: Group,
  fields: Fields,
): { observed: number; low?: number; high?: number } | undefined {
  const value = (role: Role) => fields[group[role] ?? ""]?.value;
  const given = (["expected", "min", "max"] as const).filter((role) => group[role]);
  const observed = value("observed");
  if (!isNumber(observed) || !given.every((role) => isNumber(value(role)))) return undefined;
  const [expected, min, max] = [value("expected"), value("min"), value("max")];
  const bounded = isNumber(min) || isNumber(max);
  const low = isNumber(min) ? min : bounded ? undefined : expected;
  const high = isNumber(max) ? max : bounded ? undefined : expected;
  return {
    observed,
    ...(isNumber(low) ? { low } : {}),
    ...(isNumber(high) ? { high } : {}),
  };
}

function wordsOf(group: Group, fields: Fields): { observed: string; expected: string } | undefined {
  const value = (role: Role) => fields[group[role] ?? ""]?.value;
  const [observed, expected, min, max] = [value("observed"), value("expected"), value("min"), value("max")];
  if (observed === undefined) return undefined;
  if (expected !== undefined) return { observed: textOf(observed), expected: textOf(expected) };
  if (min === undefined && max === undefined) return undefined;
  return { observed: textOf(observed), expected: `${min ?? "…"} – ${max ?? "…"}` };
}

/** Returns what the comparison is about: the name beside it, or for a raw value its signal or its bits. */
function subjectOf(name: string, fields: Fields): string | undefined {
  const value = (field: string) => fields[field]?.value;
  const given = value(`${name}_name`) ?? (name === "value" ? value("signal_name") : undefined);
  if (given !== undefined) return textOf(given);
  const [bit, bits] = [value("field_bit"), value("field_bits")];
  return name === "value" && bit !== undefined && bits !== undefined ? `${bit}:${bits}` : undefined;
}

/** Returns what can be compared, in the order of the fields' names; what lacks one side is left out. */
export function comparisons(fields: Fields, catalogue: readonly CatalogueField[] = []): Comparison[] {
  return [...groupsOf(fields)]
    .flatMap(([name, group]): Comparison[] => {
      const observedName = group.observed;
      if (!observedName || !(group.expected || group.min || group.max)) return [];
      const known = catalogue.find((field) => field.name === observedName);
      const unit =
        fields[observedName]?.unit ??
        known?.unit ??
        fields[group.expected ?? group.max ?? group.min ?? ""]?.unit;
      const subject = subjectOf(name, fields);
      const head = {
        name,
        ...(known ? { title: known.title } : {}),
        ...(subject === undefined ? {} : { subject }),
        ...(unit ? { unit } : {}),
      };
      const nominal = observedName.split("_").some((word) => NOMINAL.has(word));
      const range = nominal ? undefined : rangeOf(group, fields);
      if (range) return [{ ...head, kind: "range", ...range }];
      const words = wordsOf(group, fields);
      return words ? [{ ...head, kind: "text", ...words }] : [];
    })
    .sort((a, b) => Number(b.kind === "range") - Number(a.kind === "range") || (a.name < b.name ? -1 : 1));
}

export type Verdict = "below" | "above" | "inside";
export const verdict = ({ observed, low, high }: Range): Verdict =>
  low !== undefined && observed < low ? "below" : high !== undefined && observed > high ? "above" : "inside";

/** Returns how far the observed value lies outside, signed; 0 inside. */
export function distance(range: Range): number {
  const where = verdict(range);
  if (where === "inside") return 0;
  return range.observed - ((where === "below" ? range.low : range.high) ?? range.observed);
}

/** Share of the drawing that is left free on either side. */
const MARGIN = 0.08;

/** Returns where things stand in a drawing of width 1; nought is in it unless that would squeeze the rest. */
export function placed(range: Range): {
  observed: number;
  low: number;
  high: number;
  from: number;
  to: number;
} {
  const values = [range.observed, range.low, range.high].filter(isNumber);
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const span = most - least || Math.abs(most) || 1;
  const from = least >= 0 && least <= span ? 0 : least - span * MARGIN;
  const to = most <= 0 && least < 0 && -most <= span ? 0 : most + span * MARGIN;
  const at = (value: number): number => (value - from) / (to - from);
  return {
    observed: at(range.observed),
    low: range.low === undefined ? 0 : at(range.low),
    high: range.high === undefined ? 1 : at(range.high),
    from,
    to,
  };
}
