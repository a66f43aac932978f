import { en } from "../messages/en";

/** A key of the message table; the compiler refuses a text that has no translation entry. */
export type MessageKey = keyof typeof en;
export type MessageParams = Readonly<Record<string, string | number>>;

/** Returns the text of `key` with `{name}` replaced from `params`; an unknown name stays visible. */
export function t(key: MessageKey, params?: MessageParams): string {
  const text: string = en[key];
  if (!params) return text;
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = params[name];
    return value === undefined ? whole : String(value);
  });
}

/** Returns the text for a counted thing: `key_one` for exactly one, where there is such a text, with `{count}` grouped. */
export function counted(key: MessageKey, count: number): string {
  const one = `${key}_one`;
  return t(count === 1 && hasMessage(one) ? one : key, { count: number(count) });
}

/** Returns whether `key` has a text, for keys built from server words. */
export function hasMessage(key: string): key is MessageKey {
  return Object.hasOwn(en, key);
}

/** Returns the text of a server word (`prefix.word`), or the word itself where the table does not know it. */
export function word(prefix: string, value: string): string {
  const key = `${prefix}.${value}`;
  return hasMessage(key) ? t(key) : value.replaceAll("_", " ");
}

const plain = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** Returns `1,234,567`. */
export const number = (value: number): string => plain.format(value);
/** Returns `1.2M`. */
export const compact = (value: number): string => short.format(value);

/** Returns a size in binary units, `1.5 MiB`. */
export function bytes(value: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let size = value;
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? size : size.toFixed(size < 10 ? 1 : 0)} ${units[unit] ?? "B"}`;
}

/** Returns the first eight digits of a 32-digit vehicle id, which is how it is spoken. */
export const shortId = (id: string): string => (id.length > 12 ? `${id.slice(0, 8)}…` : id);
