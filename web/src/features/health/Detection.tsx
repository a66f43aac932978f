import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import type { Health } from "../../api/types";
import { hasMessage, number, t, type MessageKey } from "../../lib/i18n";
import { Card, Scroll } from "../../ui/parts";

type Row = { rule: string; shown: ReactNode };

function RuleTable({
  title,
  last,
  rows,
  counts,
}: {
  title: string;
  last: string;
  rows: Row[];
  counts?: boolean;
}) {
  return (
    <Scroll label={title}>
      <table>
        <thead>
          <tr>
            <th>{t("health.degraded.rule")}</th>
            <th className={counts ? "num" : ""}>{last}</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ rule, shown }) => (
            <tr key={rule}>
              <td>
                <Link className="mono" to="/rules/$id" params={{ id: rule }}>
                  {rule}
                </Link>
              </td>
              <td className={counts ? "num c-high" : ""}>{shown}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

const note = (key: MessageKey, rules: number, params: Record<string, string> = {}): string => {
  const one = `${key}_one`;
  return t(rules === 1 && hasMessage(one) ? one : key, { rules: number(rules), ...params });
};

function Degraded({ counts }: { counts: [string, number][] }) {
  const total = counts.reduce((all, [, matches]) => all + matches, 0);
  return (
    <Card title={t("health.degraded")} className="warning" flush>
      <p role="alert" className="note">
        {note("health.degraded.note", counts.length, { matches: number(total) })}
      </p>
      <RuleTable
        title={t("health.degraded")}
        last={t("health.degraded.matches")}
        counts
        rows={counts.map(([rule, matches]) => ({ rule, shown: number(matches) }))}
      />
    </Card>
  );
}

const NotEvaluated = ({ reasons }: { reasons: [string, string][] }) => (
  <Card title={t("health.not_evaluated")} className="warning" flush>
    <p role="alert" className="note">
      {note("health.not_evaluated.note", reasons.length)}
    </p>
    <RuleTable
      title={t("health.not_evaluated")}
      last={t("health.not_evaluated.reason")}
      rows={reasons.map(([rule, reason]) => ({ rule, shown: reason }))}
    />
  </Card>
);

/** Warns of rules that see less than they should: those that hit a bound, and those that watch nothing. */
export function Detection({ detect }: { detect: Health["detect"] }) {
  const degraded = Object.entries(detect.degraded ?? {}).sort((a, b) => b[1] - a[1]);
  const reasons = Object.entries(detect.not_evaluated ?? {}).sort((a, b) => (a[0] < b[0] ? -1 : 1));
  return (
    <>
      {degraded.length > 0 ? <Degraded counts={degraded} /> : null}
      {reasons.length > 0 ? <NotEvaluated reasons={reasons} /> : null}
    </>
  );
}
