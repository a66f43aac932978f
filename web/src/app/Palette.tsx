import { useId, useMemo, useState, type KeyboardEvent } from "react";
import { t } from "../lib/i18n";
import { Dialog } from "../ui/parts";
import { Keys, perform } from "./actions/context";
import { ACTIONS } from "./actions/registry";
import { rank } from "./actions/rank";
import { availability, type Action, type Context } from "./actions/types";

type Entry = { id: string; title: string; keys?: string; reason?: string; run(): void };

/** Everything typed can also be looked up: a vehicle id goes to the vehicle, other words to the queue. */
function lookups(text: string, context: Context): Entry[] {
  const typed = text.trim();
  if (!typed) return [];
  const entries: Entry[] = [];
  if (/^[0-9a-f]{32}$/i.test(typed))
    entries.push({
      id: "find-vehicle",
      title: t("palette.vehicle", { text: typed }),
      run: () => context.shell.go(`/vehicles/${typed.toLowerCase()}`),
    });
  entries.push({
    id: "find-alerts",
    title: t("palette.alerts", { text: typed }),
    run: () => context.shell.go(`/alerts?q=${encodeURIComponent(JSON.stringify(typed))}`),
  });
  entries.push({
    id: "find-vehicles",
    title: t("palette.vehicles", { text: typed }),
    run: () => context.shell.go(`/vehicles?q=${encodeURIComponent(JSON.stringify(typed))}`),
  });
  return entries;
}

function entriesOf(text: string, context: Context): Entry[] {
  const shown = ACTIONS.filter(
    (action: Action) =>
      action.id !== "palette" && (action.scope === "global" || context[action.scope] !== undefined),
  );
  const acts = rank(
    text,
    shown.map((action) => ({ action, title: t(action.title) })),
  ).map(({ action, title }): Entry => {
    const available = availability(action, context);
    return {
      id: action.id,
      title,
      keys: action.keys?.[0],
      reason: available === true ? undefined : t(available),
      run: () => void perform(action, context),
    };
  });
  return [...acts, ...lookups(text, context)];
}

/** Every act by name. A refused one stays in the list and says why. */
export function Palette({ context, close }: { context: Context; close(): void }) {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const list = useId();
  const entries = useMemo(() => entriesOf(text, context), [text, context]);
  const chosen = entries[Math.min(at, entries.length - 1)];
  const choose = (entry: Entry | undefined) => {
    if (!entry || entry.reason) return;
    close();
    // After the dialog has given the focus back.
    queueMicrotask(entry.run);
  };
  const press = (event: KeyboardEvent) => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step) setAt((old) => Math.max(0, Math.min(entries.length - 1, old + step)));
    else if (event.key === "Enter") choose(chosen);
    else return;
    event.preventDefault();
  };
  return (
    <Dialog title={t("action.palette")} className="palette" hideTitle onClose={close}>
      <input
        role="combobox"
        aria-expanded="true"
        aria-controls={list}
        aria-activedescendant={chosen ? `${list}-${chosen.id}` : undefined}
        aria-autocomplete="list"
        aria-label={t("palette.input")}
        placeholder={t("palette.input")}
        value={text}
        autoFocus
        onKeyDown={press}
        onChange={(event) => {
          setText(event.target.value);
          setAt(0);
        }}
      />
      <div role="listbox" id={list} aria-label={t("action.palette")}>
        {entries.map((entry) => (
          <div
            key={entry.id}
            id={`${list}-${entry.id}`}
            role="option"
            aria-selected={entry === chosen}
            aria-disabled={entry.reason !== undefined}
            ref={(node) => {
              if (node && entry === chosen) node.scrollIntoView({ block: "nearest" });
            }}
            onClick={() => choose(entry)}
          >
            <span className="clip">{entry.title}</span>
            {entry.reason ? (
              <span className="muted clip">{entry.reason}</span>
            ) : entry.keys ? (
              <Keys keys={entry.keys} />
            ) : null}
          </div>
        ))}
      </div>
    </Dialog>
  );
}
