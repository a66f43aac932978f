import { t, word } from "../../lib/i18n";
import type { QuarantineSearch } from "./search";

const NAMES = ["reason", "feed", "format"] as const;

/** What narrows the quarantine, each with a way to take it back where there is one. */
export const Chosen = ({ search, drop }: { search: QuarantineSearch; drop?(name: (typeof NAMES)[number]): void }) => (
  <>
    {NAMES.map((name) => {
      const value = search[name];
      if (value === undefined) return null;
      return (
        <span key={name} className="tag">
          {t(`quarantine.${name}`)}: {name === "reason" ? word("reason_word", value) : value}
          {drop ? (
            <button
              type="button"
              className="chip-remove"
              aria-label={t("filter.remove", { name: t(`quarantine.${name}`) })}
              onClick={() => drop(name)}
            >
              ×
            </button>
          ) : null}
        </span>
      );
    })}
  </>
);
