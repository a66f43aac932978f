import type { Decoder } from "../../api/types";
import { sum } from "../../lib/counts";
import { number, t } from "../../lib/i18n";
import { Card, Scroll } from "../../ui/parts";
import { Await, Empty } from "../../ui/states";
import { useDecoders } from "./api";

/** Releases from one to another, open where there is none. */
const releases = ({ release_from: from, release_to: to }: Decoder): string =>
  from || to ? `${from ?? "…"} – ${to ?? "…"}` : t("decoder.any");

const Row = ({ decoder }: { decoder: Decoder }) => (
  <tr>
    <td>
      <strong>{decoder.name}</strong> <span className="num">{decoder.version}</span>
      <div className="muted">{decoder.description}</div>
    </td>
    <td className="mono">{decoder.format}</td>
    <td>{decoder.platforms.join(", ") || t("decoder.any")}</td>
    <td>{releases(decoder)}</td>
    <td className="mono">{decoder.namespace}</td>
    <td>
      {decoder.owner} <span className="muted">{decoder.licence}</span>
    </td>
    <td className="num">{number(decoder.samples)}</td>
    <td>{decoder.feeds.join(", ") || "—"}</td>
    <td className="num">{number(decoder.documents.passed)}</td>
    <td className="num">{number(sum(decoder.documents.quarantined))}</td>
  </tr>
);

/** Packages that are in use: of one name the highest version. */
export function Decoders() {
  const query = useDecoders();
  return (
    <Card title={t("decoder.title")} aside={<span className="muted">{t("decoder.note")}</span>} flush>
      <Await query={query}>
        {(decoders) =>
          decoders.length === 0 ? (
            <Empty title={t("decoder.none")} />
          ) : (
            <Scroll label={t("decoder.title")}>
              <table>
                <thead>
                  <tr>
                    <th>{t("decoder.name")}</th>
                    <th>{t("quarantine.format")}</th>
                    <th>{t("decoder.platforms")}</th>
                    <th>{t("decoder.releases")}</th>
                    <th>{t("decoder.namespace")}</th>
                    <th>{t("decoder.owner")}</th>
                    <th className="num">{t("decoder.samples")}</th>
                    <th>{t("feed.title")}</th>
                    <th className="num">{t("health.passed")}</th>
                    <th className="num">{t("health.quarantined")}</th>
                  </tr>
                </thead>
                <tbody>
                  {decoders.map((decoder) => (
                    <Row key={decoder.name} decoder={decoder} />
                  ))}
                </tbody>
              </table>
            </Scroll>
          )
        }
      </Await>
    </Card>
  );
}
