import { ApiError } from "../../api/client";
import type { SqlResult } from "../../api/types";
import { ActionButton } from "../../app/actions/context";
import { counted, number, t } from "../../lib/i18n";
import { Age, Card, Tag } from "../../ui/parts";
import { Empty, problemText, sentence } from "../../ui/states";
import { brief, excerpt, placeOf, type Place } from "./place";
import { Spread } from "./Spread";
import { Table, Value } from "./Table";
import type { Hunt } from "./useHunt";
import type { View } from "./useView";

type RefusedProps = { error: unknown; query: string; jump?: (place: Place) => void };

/** Why there is no answer, and where in the query the fault lies. */
function Refused({ error, query, jump }: RefusedProps) {
  const message = error instanceof ApiError && error.code === "query" ? error.message : undefined;
  const place = message === undefined ? undefined : placeOf(message, query);
  const part = place && excerpt(query, place);
  return (
    <div className="refused" role="alert">
      <strong className="c-critical">{t("hunt.refused")}</strong>
      <p>{message === undefined ? problemText(error) : sentence(brief(message))}</p>
      {error instanceof ApiError && error.code === "timeout" ? (
        <p className="muted">{t("hunt.timeout")}</p>
      ) : null}
      {place && part ? (
        <>
          <pre className="fault">
            {part.text}
            {"\n"}
            <span aria-hidden="true" className="c-critical">
              {" ".repeat(part.indent) +
                "^".repeat(Math.min(place.length, part.text.length - part.indent) || 1)}
            </span>
          </pre>
          <div className="row">
            <span className="muted">{t("hunt.place", { line: place.line, column: place.column })}</span>
            {jump ? (
              <button type="button" className="button small" onClick={() => jump(place)}>
                {t("hunt.jump")}
              </button>
            ) : null}
          </div>
        </>
      ) : null}
    </div>
  );
}

/** Every value of one row in full, beside the table. */
function RowFacts({ result, at }: { result: SqlResult; at: number }) {
  const title = t("hunt.row", { row: number(at + 1), rows: number(result.rows.length) });
  return (
    <section className="row-facts" tabIndex={0} aria-label={title}>
      <h2>{title}</h2>
      <dl>
        {result.columns.map(({ name }, index) => (
          <div key={index}>
            <dt className="muted">{name}</dt>
            <dd>
              <Value value={result.rows[at]?.[index] ?? null} name={name} />
            </dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

type FoundProps = Props & { answer: SqlResult; result: SqlResult };

/** `answer` as it came, of which `result` has the rows that are shown. */
function Found({ hunt, view, answer, result, at, pick }: FoundProps) {
  const { rows, columns, truncated, elapsed_ms } = answer;
  return (
    <>
      <Card
        title={t("hunt.answer")}
        flush
        aside={
          <div className="row wrap">
            {hunt.draft === hunt.asked.query ? null : <Tag tone="warn">{t("hunt.changed")}</Tag>}
            {truncated ? (
              <Tag tone="warn" title={t("hunt.truncated.hint")}>
                {t("hunt.truncated", { rows: number(rows.length) })}
              </Tag>
            ) : null}
            <span className="muted" role="status">
              {result === answer
                ? counted("hunt.rows", rows.length)
                : t("hunt.rows_of", { shown: number(result.rows.length), rows: number(rows.length) })}
              , {t("hunt.elapsed", { ms: number(elapsed_ms) })}
            </span>
            <span className="muted">
              <Age at={new Date(hunt.answer.dataUpdatedAt).toISOString()} /> {t("time.ago")}
            </span>
            <ActionButton id="hunt.csv" className="small" />
          </div>
        }
      >
        {rows.length === 0 || columns.length === 0 ? (
          <Empty title={t(columns.length === 0 ? "hunt.no_columns" : "hunt.no_rows")}>
            {columns.length > 0 ? <span>{columns.map((column) => column.name).join(", ")}</span> : null}
          </Empty>
        ) : (
          <>
            <Spread
              result={answer}
              index={view.index}
              setIndex={view.setIndex}
              chosen={view.bin}
              choose={view.choose}
            />
            <div className="answer-split" data-split={result.rows[at] !== undefined || undefined}>
              <Table key={hunt.answer.dataUpdatedAt} result={result} at={at} onPick={pick} />
              {result.rows[at] ? <RowFacts result={result} at={at} /> : null}
            </div>
          </>
        )}
      </Card>
    </>
  );
}

type Props = { hunt: Hunt; view: View; at: number; pick(index: number): void; jump(place: Place): void };

/** The answer to the query in the address: running, refused, found, or not asked yet. */
export function Answer(props: Props) {
  const { hunt, jump } = props;
  const { answer, asked, draft } = hunt;
  if (answer.isFetching)
    return (
      <Card title={t("hunt.answer")}>
        <p role="status" className="muted">
          {t("hunt.running")}
        </p>
      </Card>
    );
  if (answer.error)
    return (
      <Card title={t("hunt.answer")}>
        <Refused error={answer.error} query={asked.query} jump={draft === asked.query ? jump : undefined} />
      </Card>
    );
  if (answer.data) return <Found {...props} answer={answer.data} result={props.view.result ?? answer.data} />;
  return (
    <Card title={t("hunt.answer")}>
      <Empty title={t("hunt.not_asked")}>
        <span>{t("hunt.not_asked.hint")}</span>
      </Empty>
    </Card>
  );
}
