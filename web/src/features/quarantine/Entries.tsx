import { Link } from "@tanstack/react-router";
import type { QuarantineItem } from "../../api/types";
import { bytes, number, t, word } from "../../lib/i18n";
import { Scroll, Tag, Time } from "../../ui/parts";
import { Await, Empty } from "../../ui/states";
import { contentAddress, type useEntries } from "./api";

/** What became of an entry. */
function State({ item }: { item: QuarantineItem }) {
  if (item.replayed_at)
    return (
      <Tag tone={item.refused ? "warn" : "ok"}>
        {t("quarantine.state.replayed", {
          passed: number(item.passed ?? 0),
          refused: number(item.refused ?? 0),
        })}
      </Tag>
    );
  if (item.requested_at) return <Tag tone="live">{t("quarantine.state.requested")}</Tag>;
  return <Tag>{t("quarantine.state.open")}</Tag>;
}

const isOpen = (item: QuarantineItem): boolean => !item.requested_at && !item.replayed_at;

type RowProps = { item: QuarantineItem; picked: boolean; pick(id: string): void };

const Row = ({ item, picked, pick }: RowProps) => (
  <tr>
    <td>
      <input
        type="checkbox"
        checked={picked}
        disabled={!isOpen(item)}
        aria-label={t("quarantine.pick", { id: item.id })}
        onChange={() => pick(item.id)}
      />
    </td>
    <td className="clip">
      <Time at={item.at} short />
    </td>
    <td title={item.reason}>{word("reason_word", item.reason)}</td>
    <td className="mono">{item.place}</td>
    <td>
      {item.feed ?? <span className="muted">{t("quarantine.vehicles_own")}</span>}{" "}
      <span className="mono muted">{item.format}</span>
    </td>
    <td className="mono">
      {item.vehicle_id ? (
        <Link
          to="/vehicles/$id/{-$tab}"
          params={{ id: item.vehicle_id, tab: undefined }}
          title={item.vehicle_id}
        >
          {item.vehicle_id.slice(0, 12)}
        </Link>
      ) : (
        "—"
      )}
    </td>
    <td className="num">{number(item.units)}</td>
    <td className="num">
      {item.replayed_at ? (
        "—"
      ) : (
        <a href={contentAddress(item.id)} download={`quarantine-${item.id}`} title={t("quarantine.save.hint")}>
          {bytes(item.bytes)}
        </a>
      )}
    </td>
    <td>
      <State item={item} />
    </td>
    <td className="mono muted excerpt">{item.excerpt_hex || "—"}</td>
  </tr>
);

const HEADS = [
  ["quarantine.at", ""],
  ["quarantine.reason", ""],
  ["quarantine.place", ""],
  ["quarantine.source", ""],
  ["vehicle.id", ""],
  ["quarantine.units", "num"],
  ["health.size", "num"],
  ["quarantine.state", ""],
  ["quarantine.excerpt", ""],
] as const;

type Props = {
  query: ReturnType<typeof useEntries>;
  picked: ReadonlySet<string>;
  setPicked(ids: ReadonlySet<string>): void;
};

/** Entries, newest first, some of which can be picked to be taken again. */
export function Entries({ query, picked, setPicked }: Props) {
  const pick = (id: string) => {
    const next = new Set(picked);
    if (!next.delete(id)) next.add(id);
    setPicked(next);
  };
  return (
    <Await query={query}>
      {(data) => {
        const items = data.pages.flatMap((page) => page.items);
        if (items.length === 0) return <Empty title={t("quarantine.none_here")} />;
        const open = items.filter(isOpen).map(({ id }) => id);
        const isAll = open.length > 0 && open.every((id) => picked.has(id));
        return (
          <Scroll label={t("quarantine.list")}>
            <table>
              <thead>
                <tr>
                  <th>
                    <input
                      type="checkbox"
                      checked={isAll}
                      disabled={open.length === 0}
                      aria-label={t("quarantine.pick_all")}
                      onChange={() => setPicked(new Set(isAll ? [] : open))}
                    />
                  </th>
                  {HEADS.map(([head, kind]) => (
                    <th key={head} className={kind}>
                      {t(head)}
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {items.map((item) => (
                  <Row key={item.id} item={item} picked={picked.has(item.id)} pick={pick} />
                ))}
              </tbody>
            </table>
          </Scroll>
        );
      }}
    </Await>
  );
}
