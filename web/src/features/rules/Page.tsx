import { Link, useParams } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import type { Rule } from "../../api/types";
import { granted } from "../../app/actions/types";
import { rank } from "../../app/actions/rank";
import { counted, number, t, word } from "../../lib/i18n";
import { Card, SeverityMark, Tag, Yaml } from "../../ui/parts";
import { Await, Empty } from "../../ui/states";
import { useSession } from "../session/api";
import { useRules } from "./api";

function RuleLine({ rule, open }: { rule: Rule; open: boolean }) {
  return (
    <li data-open={open || undefined}>
      <Link
        to="/rules/$id"
        params={{ id: rule.id }}
        aria-current={open ? "page" : undefined}
        className="rule-line"
      >
        <SeverityMark severity={rule.level} bare />
        <span className="clip grow">{rule.title}</span>
        {rule.problems?.length ? (
          <Tag tone="bad">{counted("rule.problems", rule.problems.length)}</Tag>
        ) : null}
        <span className="num muted" title={t("rule.alerts")}>
          {number(rule.alerts)}
        </span>
      </Link>
    </li>
  );
}

function Dispositions({ rule }: { rule: Rule }) {
  const entries = Object.entries(rule.dispositions).filter(([, count]) => count > 0);
  if (entries.length === 0) return <span className="muted">{t("rule.no_dispositions")}</span>;
  return (
    <span className="row wrap">
      {entries.map(([name, count]) => (
        <Tag key={name}>
          {word("disposition", name)} {number(count)}
        </Tag>
      ))}
    </span>
  );
}

function RuleDetail({ rule }: { rule: Rule }) {
  return (
    <div className="stack loose">
      <Card
        title={t("rule.about")}
        aside={
          <Link to="/alerts" search={{ rule: rule.id, status: "new,acknowledged,closed" }}>
            {t("rule.show_alerts")}
          </Link>
        }
      >
        <div className="stack">
          <div className="row wrap">
            <SeverityMark severity={rule.level} />
            <Tag>{word("rule_kind", rule.kind)}</Tag>
            <Tag>{rule.status}</Tag>
            {rule.tags.map((tag) => (
              <Tag key={tag}>{tag}</Tag>
            ))}
          </div>
          <h2 className="alert-title">{rule.title}</h2>
          <p>{rule.description}</p>
          {rule.problems?.length ? (
            <ul role="alert" className="c-critical">
              {rule.problems.map((problem, index) => (
                <li key={index}>{problem}</li>
              ))}
            </ul>
          ) : null}
          <dl className="facts">
            <dt>{t("rule.id")}</dt>
            <dd className="mono">{rule.id}</dd>
            <dt>{t("rule.file")}</dt>
            <dd className="mono">{rule.file}</dd>
            <dt>{t("rule.findings")}</dt>
            <dd>{number(rule.findings)}</dd>
            <dt>{t("rule.alerts")}</dt>
            <dd>{number(rule.alerts)}</dd>
            <dt>{t("rule.state_entries")}</dt>
            <dd>{number(rule.state_entries)}</dd>
            <dt>{t("rule.dispositions")}</dt>
            <dd>
              <Dispositions rule={rule} />
            </dd>
          </dl>
        </div>
      </Card>
      <Card title={t("rule.source")}>
        <Yaml text={rule.yaml} />
      </Card>
    </div>
  );
}

function Rules({ rules, id }: { rules: readonly Rule[]; id: string | undefined }) {
  const [text, setText] = useState("");
  const shown = useMemo(
    () =>
      rank(
        text,
        rules.map((rule) => ({ rule, title: `${rule.title} ${rule.tags.join(" ")}` })),
      ).map((each) => each.rule),
    [text, rules],
  );
  const open = rules.find((rule) => rule.id === id) ?? (id ? undefined : shown[0]);
  if (rules.length === 0) return <Empty title={t("rule.none")} />;
  return (
    <div className="rules">
      <Card title={counted("rule.count", rules.length)} flush>
        <div className="note">
          <input
            data-search
            type="search"
            value={text}
            placeholder={t("rule.search")}
            aria-label={t("rule.search")}
            onChange={(event) => setText(event.target.value)}
          />
        </div>
        <ul className="list rule-list">
          {shown.map((rule) => (
            <RuleLine key={rule.id} rule={rule} open={rule === open} />
          ))}
        </ul>
        {shown.length === 0 ? <Empty title={t("rule.no_match")} /> : null}
      </Card>
      {open ? <RuleDetail rule={open} /> : <Empty title={t("rule.unknown")} />}
    </div>
  );
}

export function Page() {
  const { id } = useParams({ strict: false });
  const allowed = granted(useSession().data?.user.role ?? "analyst", "engineer");
  const query = useRules(allowed);
  return (
    <div className="page">
      <header>
        <h1>{t("nav.rules")}</h1>
      </header>
      {allowed ? (
        <Await query={query}>{(rules) => <Rules rules={rules} id={id} />}</Await>
      ) : (
        <Empty title={t("reason.engineer")} />
      )}
    </div>
  );
}
