import { number, t } from "../../lib/i18n";
import { spread, type Share } from "./share";

/** A bar of shares; the words beside it and its title say the same. */
export function Bar({ shares, label }: { shares: readonly Share[]; label: string }) {
  const parts = spread(shares);
  const said = parts.map(({ part, count }) => `${number(count)} ${t(`share.${part}`)}`).join(", ");
  return (
    <svg
      className="share-bar"
      viewBox="0 0 1000 10"
      preserveAspectRatio="none"
      role="img"
      aria-label={`${label}: ${said || t("share.none")}`}
    >
      <title>{said || t("share.none")}</title>
      <rect className="share-ground" x={0} y={0} width={1000} height={10} />
      {parts.map(({ part, start, width }) => (
        <rect key={part} className={`share-${part}`} x={start * 1000} y={0} width={width * 1000} height={10} />
      ))}
    </svg>
  );
}

/** The colours of a bar in words, with counts. */
export const Legend = ({ shares }: { shares: readonly Share[] }) => (
  <ul className="share-legend">
    {shares
      .filter(({ count }) => count > 0)
      .map(({ part, count }) => (
        <li key={part}>
          <svg viewBox="0 0 10 10" aria-hidden="true">
            <rect className={`share-${part}`} width={10} height={10} />
          </svg>
          {t(`share.${part}`)} <span className="num">{number(count)}</span>
        </li>
      ))}
  </ul>
);
