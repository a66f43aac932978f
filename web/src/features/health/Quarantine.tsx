import { bytes, t, word } from "../../lib/i18n";
import { Card, Time } from "../../ui/parts";
import { Await, Empty } from "../../ui/states";
import { useQuarantine } from "./api";

/** What could not be decoded, with reason, place and first bytes; the rest of the bytes is kept for a later decoder. */
export function Quarantine({ allowed }: { allowed: boolean }) {
  const query = useQuarantine(allowed);
  return (
    <Card title={t("quarantine.title")} flush>
      {!allowed ? (
        <Empty title={t("reason.engineer")} />
      ) : (
        <Await query={query}>
          {(data) => {
            const items = data.pages.flatMap((page) => page.items);
            if (items.length === 0) return <Empty title={t("quarantine.none")} />;
            return (
              <div className="scroll" tabIndex={0} role="region" aria-label={t("quarantine.title")}>
                <table>
                  <thead>
                    <tr>
                      <th>{t("quarantine.at")}</th>
                      <th>{t("quarantine.reason")}</th>
                      <th>{t("quarantine.place")}</th>
                      <th>{t("vehicle.id")}</th>
                      <th className="num">{t("health.size")}</th>
                      <th>{t("quarantine.excerpt")}</th>
                    </tr>
                  </thead>
                  <tbody>
                    {items.map((item) => (
                      <tr key={item.id}>
                        <td>
                          <Time at={item.at} short />
                        </td>
                        <td>{word("reason_word", item.reason)}</td>
                        <td className="mono">{item.place}</td>
                        <td className="mono" title={item.vehicle_id ?? undefined}>
                          {item.vehicle_id?.slice(0, 12) ?? "—"}
                        </td>
                        <td className="num">{bytes(item.bytes)}</td>
                        <td className="mono muted excerpt">{item.excerpt_hex}</td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
            );
          }}
        </Await>
      )}
      {query.hasNextPage ? (
        <div className="note">
          <button type="button" className="button" onClick={() => void query.fetchNextPage()}>
            {t("state.more")}
          </button>
        </div>
      ) : null}
    </Card>
  );
}
