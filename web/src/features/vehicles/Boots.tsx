import type { BootState } from "../../api/types";
import { number, t, word } from "../../lib/i18n";
import { formatError } from "../../lib/time";
import { Card, Scroll, Tag, Time } from "../../ui/parts";
import { Empty } from "../../ui/states";

const Clock = ({ boot }: { boot: BootState }) => (
  <span className="row wrap">
    <Tag tone={boot.clock === "anchored" ? "ok" : boot.clock === "bounded" ? "plain" : "warn"}>
      {word("clock_quality", boot.clock)}
    </Tag>
    {boot.clock_source ? <span className="muted">{word("clock", boot.clock_source)}</span> : null}
    {boot.refused_fixes + boot.contradicted_fixes > 0 ? (
      <Tag tone="warn">
        {t("boot.refused", { count: number(boot.refused_fixes + boot.contradicted_fixes) })}
      </Tag>
    ) : null}
  </span>
);

const PROOF_TONES: Readonly<Record<string, "ok" | "bad" | "plain">> = { proven: "ok", unproven: "bad" };

const Anchor = ({ boot: { anchor } }: { boot: BootState }) =>
  anchor ? (
    <span className="row wrap" title={anchor.kind === "software" ? t("anchor.software.hint") : undefined}>
      <Tag tone={anchor.kind === "software" ? "warn" : "plain"}>{word("anchor", anchor.kind)}</Tag>
      <span className="num">{number(anchor.counter)}</span>
      {anchor.kind === "software" && anchor.proof === "unchecked" ? null : (
        <span title={t("anchor_proof.hint")}>
          <Tag tone={PROOF_TONES[anchor.proof] ?? "plain"}>{word("anchor_proof", anchor.proof)}</Tag>
        </span>
      )}
    </span>
  ) : (
    <span className="muted">—</span>
  );

/** The vehicle's boots: when they were, how that is known, and what holds their counter. */
export const Boots = ({ boots }: { boots: readonly BootState[] }) => (
  <Card title={t("boot.title")} flush>
    {boots.length === 0 ? (
      <Empty title={t("vehicle.lanes.none")} />
    ) : (
      <Scroll label={t("boot.title")}>
        <table>
          <thead>
            <tr>
              <th>{t("vehicle.epoch")}</th>
              <th>{t("boot.began")}</th>
              <th>{t("vehicle.clock")}</th>
              <th>{t("boot.anchor")}</th>
            </tr>
          </thead>
          <tbody>
            {boots.map((boot) => (
              <tr key={boot.epoch}>
                <td className="mono">{boot.epoch}</td>
                <td>
                  <Time at={boot.began_at} short />{" "}
                  <span className="muted">{formatError(boot.began_error_us)}</span>
                </td>
                <td>
                  <Clock boot={boot} />
                </td>
                <td>
                  <Anchor boot={boot} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    )}
  </Card>
);
