import { Link } from "@tanstack/react-router";
import type { QuarantineSummary } from "../../api/types";
import { bytes, number, t, word } from "../../lib/i18n";
import { Age, Card, Scroll } from "../../ui/parts";
import { Empty } from "../../ui/states";
import { isIn, type QuarantineSearch } from "./search";

type Group = QuarantineSummary["groups"][number];

const Row = ({ group, search }: { group: Group; search: QuarantineSearch }) => {
  const chosen = {
    reason: group.reason,
    feed: group.feed ?? undefined,
    format: group.format ?? undefined,
  };
  const narrowed = search.reason ?? search.feed ?? search.format;
  return (
    <tr aria-current={narrowed !== undefined && isIn(group, search) ? "true" : undefined}>
      <td>
        <Link from="/quarantine" to="/quarantine" search={(old) => ({ ...old, ...chosen })} title={group.reason}>
          {word("reason_word", group.reason)}
        </Link>
      </td>
      <td>{group.feed ?? <span className="muted">{t("quarantine.vehicles_own")}</span>}</td>
      <td className="mono">{group.format ?? "—"}</td>
      <td className={group.open > 0 ? "num c-medium" : "num"}>{number(group.open)}</td>
      <td className="num">{number(group.entries)}</td>
      <td className="num">{number(group.units)}</td>
      <td className="num">{bytes(group.bytes)}</td>
      <td className="num muted">
        <Age at={group.first_at} />
      </td>
      <td className="num muted">
        <Age at={group.last_at} />
      </td>
    </tr>
  );
};

/** How much was set aside, and why; a reason leads to its entries. */
export const Groups = ({ summary, search }: { summary: QuarantineSummary; search: QuarantineSearch }) => (
  <Card
    title={t("quarantine.groups")}
    aside={
      <span className="muted">
        {t("quarantine.bounds", {
          entries: number(summary.entries),
          entries_max: number(summary.entries_max),
          bytes: bytes(summary.bytes),
          bytes_max: bytes(summary.bytes_max),
        })}
      </span>
    }
    flush
  >
    {summary.groups.length === 0 ? (
      <Empty title={t("quarantine.none")}>
        <span>{t("quarantine.none.hint")}</span>
      </Empty>
    ) : (
      <Scroll label={t("quarantine.groups")}>
        <table>
          <thead>
            <tr>
              <th>{t("quarantine.reason")}</th>
              <th>{t("quarantine.feed")}</th>
              <th>{t("quarantine.format")}</th>
              <th className="num">{t("quarantine.open")}</th>
              <th className="num">{t("quarantine.kept")}</th>
              <th className="num" title={t("quarantine.units.hint")}>
                {t("quarantine.units")}
              </th>
              <th className="num">{t("health.size")}</th>
              <th className="num">{t("quarantine.first")}</th>
              <th className="num">{t("quarantine.last")}</th>
            </tr>
          </thead>
          <tbody>
            {summary.groups.map((group) => (
              <Row
                key={`${group.reason} ${group.feed ?? ""} ${group.format ?? ""}`}
                group={group}
                search={search}
              />
            ))}
          </tbody>
        </table>
      </Scroll>
    )}
  </Card>
);
