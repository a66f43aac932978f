import { useEffect, useRef, type ReactNode } from "react";
import type { Severity } from "../api/types";
import { useNow } from "../lib/clock";
import { t, word } from "../lib/i18n";
import { usePreferences } from "../lib/preferences";
import { formatAge, formatShort, formatTime } from "../lib/time";

const SHAPES: Record<Severity, string> = {
  critical: "M6 0 12 6 6 12 0 6z",
  high: "M6 1 12 11.5H0z",
  medium: "M1 1h10v10H1z",
  low: "M6 .5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11z",
  info: "M6 .5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zm0 2a3.5 3.5 0 1 1 0 7 3.5 3.5 0 0 1 0-7z",
};

/** Severity as shape, colour and (unless `bare`, then for screen readers only) word. */
export function SeverityMark({ severity, bare }: { severity: Severity; bare?: boolean }) {
  return (
    <span className={`sev c-${severity}`}>
      <svg viewBox="0 0 12 12" aria-hidden="true">
        <path d={SHAPES[severity]} fill="currentColor" fillRule="evenodd" />
      </svg>
      <span className={bare ? "sr" : ""}>{t(`severity.${severity}`)}</span>
    </span>
  );
}

/** A time in the chosen zone; the full text and the age are in the tooltip. */
export function Time({ at, short }: { at: string | null | undefined; short?: boolean }) {
  const { zone } = usePreferences();
  if (!at) return <span className="muted">—</span>;
  return (
    <time dateTime={at} title={formatTime(at, zone)}>
      {short ? formatShort(at, zone) : formatTime(at, zone)}
    </time>
  );
}

/** A window of time; the day is written once where both ends share it. */
export function TimeRange({ from, to }: { from: string; to: string }) {
  const { zone } = usePreferences();
  const [start, end] = [formatShort(from, zone), formatShort(to, zone)];
  const sameDay = start.slice(0, 5) === end.slice(0, 5);
  return (
    <span title={`${formatTime(from, zone)} – ${formatTime(to, zone)}`}>
      {start} – {sameDay ? end.slice(6) : end}
    </span>
  );
}

export function Age({ at }: { at: string | null | undefined }) {
  const now = useNow();
  const { zone } = usePreferences();
  if (!at) return <span className="muted">—</span>;
  return (
    <time dateTime={at} title={formatTime(at, zone)}>
      {formatAge(at, now)}
    </time>
  );
}

export function Card({
  title,
  aside,
  children,
  flush,
  className = "",
}: {
  title: string;
  aside?: ReactNode;
  children: ReactNode;
  flush?: boolean;
  className?: string;
}) {
  return (
    <section className={`card ${className}`} aria-label={title}>
      <header>
        <h2>{title}</h2>
        {aside}
      </header>
      {flush ? children : <div className="body">{children}</div>}
    </section>
  );
}

/** A wide table that scrolls inside its card, by keyboard too. */
export const Scroll = ({ label, children }: { label: string; children: ReactNode }) => (
  <div className="scroll" tabIndex={0} role="region" aria-label={label}>
    {children}
  </div>
);

export type Tone = "ok" | "warn" | "bad" | "live" | "plain";
export const Tag = ({
  tone = "plain",
  children,
  title,
}: {
  tone?: Tone;
  children: ReactNode;
  title?: string;
}) => (
  <span className={`tag ${tone}`} title={title}>
    {children}
  </span>
);

const STATUS_TONES: Record<string, Tone> = {
  new: "live",
  acknowledged: "plain",
  closed: "plain",
  investigating: "live",
  received: "ok",
  refused_by_gate: "bad",
  refused_by_vehicle: "bad",
  expired: "warn",
  accepted: "live",
  sent: "live",
  permitted: "live",
  requested: "plain",
  proposed: "plain",
  confirmed: "live",
  done: "ok",
  cancelled: "plain",
  overdue: "bad",
  open: "warn",
  tombstoned: "plain",
};
export const StatusTag = ({ prefix, status }: { prefix: string; status: string }) => (
  <Tag tone={STATUS_TONES[status] ?? "plain"}>{word(prefix, status)}</Tag>
);

/** A modal on the platform's own `<dialog>`: focus is kept inside and returns where it came from. */
export function Dialog({
  title,
  className = "",
  onClose,
  children,
  hideTitle,
}: {
  title: string;
  className?: string;
  onClose(): void;
  children: ReactNode;
  hideTitle?: boolean;
}) {
  const ref = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const opener = document.activeElement;
    const dialog = ref.current;
    if (dialog && !dialog.open) dialog.showModal();
    // Where the first thing in it is not what Enter should do.
    dialog?.querySelector<HTMLElement>("[data-first]")?.focus();
    return () => {
      dialog?.close();
      if (opener instanceof HTMLElement && opener.isConnected) opener.focus();
    };
  }, []);
  return (
    <dialog
      ref={ref}
      className={`dialog ${className}`}
      aria-label={title}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => event.target === ref.current && onClose()}
    >
      {hideTitle ? null : (
        <div className="content dialog-title">
          <h1>{title}</h1>
        </div>
      )}
      {children}
    </dialog>
  );
}

/** Text of a rule file, with comments, keys and strings told apart. */
export function Yaml({ text }: { text: string }) {
  return (
    <pre className="yaml" tabIndex={0} aria-label={t("rule.source")}>
      {text.split("\n").map((line, index) => {
        const found = /^(\s*(?:- )?)([\w.|*-]+)(:)(.*)$/.exec(line);
        const comment = /^\s*#/.test(line);
        return (
          <span key={index}>
            {comment ? (
              <span className="c">{line}</span>
            ) : found ? (
              <>
                {found[1]}
                <span className="k">{found[2]}</span>
                {found[3]}
                <span className="s">{found[4]}</span>
              </>
            ) : (
              <span className="s">{line}</span>
            )}
            {"\n"}
          </span>
        );
      })}
    </pre>
  );
}
