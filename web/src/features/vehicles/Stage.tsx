import type { VehicleSummary } from "../../api/types";
import { word } from "../../lib/i18n";
import { Tag } from "../../ui/parts";

/** Whether a vehicle is monitored: what is not raises no alert, so it must be seen. */
export const StageTag = ({ stage }: { stage: VehicleSummary["stage"] }) =>
  stage ? (
    <Tag tone={stage === "full" ? "ok" : stage === "pilot" ? "plain" : "warn"}>{word("stage", stage)}</Tag>
  ) : (
    <span className="muted">—</span>
  );
