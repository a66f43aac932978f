/** The one formatter of times: every text names its zone. */
export type Zone = "utc" | "local";

const pad = (value: number, width = 2): string => String(value).padStart(width, "0");

function offsetName(at: Date): string {
  const minutes = -at.getTimezoneOffset();
  if (minutes === 0) return "UTC+0";
  const sign = minutes < 0 ? "−" : "+";
  const rest = Math.abs(minutes) % 60;
  return `UTC${sign}${Math.floor(Math.abs(minutes) / 60)}${rest ? `:${pad(rest)}` : ""}`;
}

/** Returns the name of the zone in which `at` is shown. */
export function zoneName(zone: Zone, at: Date): string {
  return zone === "utc" ? "UTC" : offsetName(at);
}

function parts(at: Date, zone: Zone) {
  return zone === "utc"
    ? {
        y: at.getUTCFullYear(),
        mo: at.getUTCMonth() + 1,
        d: at.getUTCDate(),
        h: at.getUTCHours(),
        mi: at.getUTCMinutes(),
        s: at.getUTCSeconds(),
      }
    : {
        y: at.getFullYear(),
        mo: at.getMonth() + 1,
        d: at.getDate(),
        h: at.getHours(),
        mi: at.getMinutes(),
        s: at.getSeconds(),
      };
}

/** Returns `2026-11-22 14:03:09 UTC`; an absent or unreadable time is `—`, never "now". */
export function formatTime(text: string | null | undefined, zone: Zone): string {
  const at = parse(text);
  if (!at) return "—";
  const p = parts(at, zone);
  return `${p.y}-${pad(p.mo)}-${pad(p.d)} ${pad(p.h)}:${pad(p.mi)}:${pad(p.s)} ${zoneName(zone, at)}`;
}

/** Returns `11-22 14:03:09`, for narrow columns whose heading names the zone. */
export function formatShort(text: string | null | undefined, zone: Zone): string {
  const at = parse(text);
  if (!at) return "—";
  const p = parts(at, zone);
  return `${pad(p.mo)}-${pad(p.d)} ${pad(p.h)}:${pad(p.mi)}:${pad(p.s)}`;
}

/** Returns the fraction of the second as the server wrote it, `.123456`, or an empty text. */
export function fraction(text: string): string {
  return /\.\d+/.exec(text)?.[0] ?? "";
}

/** Returns `14:03`, for axis labels beside which the zone is named. */
export function formatClock(text: string, zone: Zone): string {
  const at = parse(text);
  if (!at) return "—";
  const p = parts(at, zone);
  return `${pad(p.h)}:${pad(p.mi)}`;
}

function parse(text: string | null | undefined): Date | undefined {
  if (!text) return undefined;
  const at = new Date(text);
  return Number.isNaN(at.getTime()) ? undefined : at;
}

/** Returns the two largest units of a length of time: `3 d 4 h`, `12 s`, `250 ms`. */
export function formatSpan(ms: number): string {
  const sign = ms < 0 ? "−" : "";
  const abs = Math.abs(ms);
  if (abs < 1000) return `${sign}${Math.round(abs)} ms`;
  const seconds = Math.floor(abs / 1000);
  if (seconds < 60) return `${sign}${seconds} s`;
  const steps: [number, string][] = [
    [86_400, "d"],
    [3_600, "h"],
    [60, "min"],
    [1, "s"],
  ];
  const first = steps.findIndex(([size]) => seconds >= size);
  const [size, unit] = steps[first] ?? [1, "s"];
  const head = Math.floor(seconds / size);
  const next = steps[first + 1];
  const tail = next ? Math.floor((seconds - head * size) / next[0]) : 0;
  return `${sign}${head} ${unit}${next && tail ? ` ${tail} ${next[1]}` : ""}`;
}

/** Returns a signed length in microseconds as `−320 µs`, or as a span from one millisecond on. */
export function formatMicros(us: number): string {
  if (Math.abs(us) >= 1000) return formatSpan(us / 1000);
  return `${us < 0 ? "−" : ""}${Math.abs(us)} µs`;
}

/** Returns the age of `text` at `now`, or `—`. */
export function formatAge(text: string | null | undefined, now: number): string {
  const at = parse(text);
  return at ? formatSpan(Math.max(0, now - at.getTime())) : "—";
}

/** Returns a microsecond error interval as `± 1.5 ms`. */
export function formatError(us: number): string {
  if (us < 1000) return `± ${us} µs`;
  if (us < 1_000_000) return `± ${Number((us / 1000).toFixed(1))} ms`;
  return `± ${formatSpan(us / 1000)}`;
}
