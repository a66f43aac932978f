import { t } from "../../lib/i18n";
import { Await } from "../../ui/states";
import { useHealth } from "../health/api";
import { useIngestHealth } from "./api";
import { Contacts, Gaps, Lag, Losses, Refusals, Sessions } from "./Facts";
import { Lanes } from "./Lanes";
import { Worst } from "./Worst";

/** What comes in from the vehicles: how much, how late, what is missing, and what does not fit together. */
export function Page() {
  const query = useIngestHealth();
  const health = useHealth();
  return (
    <div className="page">
      <header>
        <h1>{t("nav.ingest")}</h1>
      </header>
      <Await query={query}>
        {(ingest) => (
          <>
            <Lanes health={ingest} />
            <div className="three-columns">
              <Gaps health={ingest} />
              <Losses health={ingest} />
              <Lag health={ingest} />
            </div>
            <div className="three-columns">
              <Contacts health={ingest} />
              <Sessions health={health.data} />
              <Refusals health={ingest} />
            </div>
            <Worst health={ingest} />
          </>
        )}
      </Await>
    </div>
  );
}
