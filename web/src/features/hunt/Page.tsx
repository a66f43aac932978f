import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import type { SqlResult } from "../../api/types";
import { usePublish } from "../../app/actions/context";
import { granted, type HuntHandle } from "../../app/actions/types";
import { t } from "../../lib/i18n";
import { Empty } from "../../ui/states";
import { useSession } from "../session/api";
import { Answer } from "./Answer";
import { toCsv } from "./csv";
import { Editor } from "./Editor";
import type { Place } from "./place";
import { putDraft } from "./putDraft";
import { Side } from "./Side";
import { useCompletion } from "./useCompletion";
import { useHunt, type Hunt } from "./useHunt";
import { useView, type View } from "./useView";

const FILE = "outrider-hunt.csv";

function download(result: SqlResult) {
  const address = URL.createObjectURL(new Blob([toCsv(result)], { type: "text/csv;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = FILE;
  link.click();
  // The browser has begun to read it by the next turn.
  setTimeout(() => URL.revokeObjectURL(address), 0);
}

type Parts = { hunt: Hunt; view: View; complete(): void };

/** Puts at the disposal of actions what they may do here; what changes with each key is behind a reference. */
function useHandle(parts: Parts, move: (step: number) => void, edit: () => void) {
  const latest = useRef(parts);
  useEffect(() => {
    latest.current = parts;
  });
  const { hunt, view } = parts;
  const running = hunt.answer.isFetching;
  const blank = hunt.draft.trim() === "";
  const rows = running ? 0 : (view.result?.rows.length ?? 0);
  const handle = useMemo(
    (): HuntHandle => ({
      running,
      blank,
      rows,
      run: () => latest.current.hunt.run(),
      cancel: () => latest.current.hunt.cancel(),
      query: () => latest.current.hunt.draft,
      download: () => latest.current.view.result && download(latest.current.view.result),
      complete: () => latest.current.complete(),
      edit,
      move,
    }),
    [running, blank, rows, move, edit],
  );
  usePublish("hunt", handle);
}

function Hunting({ user }: { user: string }) {
  const hunt = useHunt(user);
  const box = useRef<HTMLTextAreaElement>(null);
  const [at, setAt] = useState(-1);
  const view = useView(hunt.answer.data, hunt.answer.dataUpdatedAt);
  const suggestions = useCompletion({ ...hunt, box });
  const rows = view.result?.rows.length ?? 0;
  useEffect(() => setAt(-1), [hunt.answer.dataUpdatedAt, hunt.asked.query, view.bin]);
  const move = useCallback(
    (step: number) => setAt((old) => Math.max(0, Math.min(rows - 1, old + step))),
    [rows],
  );
  const edit = useCallback(() => box.current?.focus(), []);
  const complete = () => {
    box.current?.focus();
    suggestions.ask();
  };
  useHandle({ hunt, view, complete }, move, edit);
  const jump = ({ offset, length }: Place) => {
    box.current?.focus();
    box.current?.setSelectionRange(offset, offset + length);
  };
  const insert = (name: string) => {
    const { selectionStart: from, selectionEnd: to } = box.current ?? { selectionStart: 0, selectionEnd: 0 };
    const text = `${hunt.draft.slice(0, from)}${name}${hunt.draft.slice(to)}`;
    putDraft({ text, caret: from + name.length, setDraft: hunt.setDraft, box });
  };
  return (
    <div className="hunt">
      <div className="stack loose">
        <Editor hunt={hunt} box={box} suggestions={suggestions} />
        <Answer hunt={hunt} view={view} at={at} pick={setAt} jump={jump} />
      </div>
      <Side notes={hunt.notes} user={user} choose={hunt.choose} insert={insert} />
    </div>
  );
}

/** Questions in SQL to the lake of events. */
export function Page() {
  const user = useSession().data?.user;
  return (
    <div className="page">
      <header>
        <h1>{t("nav.hunt")}</h1>
      </header>
      {user && granted(user.role, "engineer") ? (
        <Hunting key={user.name} user={user.name} />
      ) : (
        <Empty title={t("reason.engineer")} />
      )}
    </div>
  );
}
