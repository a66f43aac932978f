/** What part of the quarantine is looked at; in the address. */
export type QuarantineSearch = { reason?: string; feed?: string; format?: string; all?: true };

const text = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined;

export const readQuarantineSearch = (raw: Record<string, unknown>): QuarantineSearch => ({
  reason: text(raw["reason"]),
  feed: text(raw["feed"]),
  format: text(raw["format"]),
  all: raw["all"] === true ? true : undefined,
});

type Group = { reason: string; feed?: string | null; format?: string | null; open: number };

/** Returns whether a group is part of what is looked at. */
export const isIn = (group: Group, { reason, feed, format }: QuarantineSearch): boolean =>
  (reason === undefined || group.reason === reason) &&
  (feed === undefined || group.feed === feed) &&
  (format === undefined || group.format === format);

/** Returns how many entries of what is looked at can be taken again. */
export const openIn = (groups: readonly Group[], search: QuarantineSearch): number =>
  groups.filter((group) => isIn(group, search)).reduce((all, { open }) => all + open, 0);
