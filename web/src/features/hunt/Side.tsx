import { useMemo, useState } from "react";
import { offerUndo } from "../../app/actions/undo";
import { number, t } from "../../lib/i18n";
import { Age, Card } from "../../ui/parts";
import { Empty } from "../../ui/states";
import { useCatalogue } from "../catalogue/api";
import { allColumns } from "./columns";
import { EXAMPLES } from "./examples";
import { changeNotes, drop, keep, type Notes, type Saved } from "./store";

type Choose = { choose(query: string): void };

const Examples = ({ choose }: Choose) => (
  <Card title={t("hunt.examples")} flush>
    <ul className="choices-list">
      {EXAMPLES.map(({ title, about, query }) => (
        <li key={title}>
          <button type="button" onClick={() => choose(query)}>
            <span>{t(title)}</span>
            <span className="muted">{t(about)}</span>
          </button>
        </li>
      ))}
    </ul>
  </Card>
);

function forget(user: string, { name, query }: Saved) {
  changeNotes(user, (notes) => drop(notes, name));
  offerUndo({
    text: t("toast.query_deleted", { name }),
    run: async () => changeNotes(user, (notes) => keep(notes, name, query)),
  });
}

const SavedQueries = ({ notes, user, choose }: Choose & { notes: Notes; user: string }) => (
  <Card title={t("hunt.saved")} flush>
    {notes.saved.length === 0 ? (
      <Empty title={t("hunt.saved.none")} />
    ) : (
      <ul className="choices-list limited">
        {notes.saved.map((saved) => (
          <li key={saved.name} className="row">
            <button type="button" title={saved.query} onClick={() => choose(saved.query)}>
              <span className="clip">{saved.name}</span>
            </button>
            <button
              type="button"
              className="remove"
              aria-label={t("hunt.saved.delete", { name: saved.name })}
              onClick={() => forget(user, saved)}
            >
              ×
            </button>
          </li>
        ))}
      </ul>
    )}
  </Card>
);

const History = ({ notes, choose }: Choose & { notes: Notes }) => (
  <Card title={t("hunt.history")} flush>
    {notes.history.length === 0 ? (
      <Empty title={t("hunt.history.none")} />
    ) : (
      <ul className="choices-list limited">
        {notes.history.map(({ query, at }) => (
          <li key={query}>
            <button type="button" title={query} onClick={() => choose(query)}>
              <span className="mono clip">{query.replace(/\s+/g, " ")}</span>
              <span className="muted">
                <Age at={at} /> {t("time.ago")}
              </span>
            </button>
          </li>
        ))}
      </ul>
    )}
  </Card>
);

/** All columns with type and meaning; one that is chosen goes where the cursor stands. */
function Columns({ insert }: { insert(name: string): void }) {
  const catalogue = useCatalogue();
  const [text, setText] = useState("");
  const all = useMemo(() => allColumns(catalogue.data), [catalogue.data]);
  const typed = text.trim().toLowerCase();
  const shown = all.filter(({ name, title }) => `${name} ${title}`.toLowerCase().includes(typed));
  return (
    <Card title={t("hunt.columns", { count: number(all.length) })} flush>
      <div className="note">
        <input
          data-search
          type="search"
          value={text}
          placeholder={t("hunt.columns.search")}
          aria-label={t("hunt.columns.search")}
          onChange={(event) => setText(event.target.value)}
        />
      </div>
      {catalogue.error ? <p className="note c-high">{t("hunt.columns.partial")}</p> : null}
      {shown.length === 0 ? (
        <Empty title={t("hunt.columns.none")} />
      ) : (
        <ul className="choices-list limited">
          {shown.map(({ name, type, title }) => (
            <li key={name}>
              <button type="button" onClick={() => insert(name)}>
                <span>
                  <span className="mono">{name}</span> <span className="muted">{type}</span>
                </span>
                <span className="muted">{title}</span>
              </button>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

type Props = Choose & { notes: Notes; user: string; insert(name: string): void };

export const Side = ({ notes, user, choose, insert }: Props) => (
  <div className="stack loose">
    <Examples choose={choose} />
    <SavedQueries notes={notes} user={user} choose={choose} />
    <History notes={notes} choose={choose} />
    <Columns insert={insert} />
  </div>
);
