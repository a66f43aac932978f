import { useParams } from "@tanstack/react-router";
import { useMemo } from "react";
import { usePublish } from "../../app/actions/context";
import type { TriageHandle } from "../../app/actions/types";
import { useAlert } from "./api";
import { Detail } from "./Detail";
import { only } from "./selection";

/** One alert on a page of its own. */
export function DetailPage() {
  const { id } = useParams({ from: "/alerts/$id" });
  const alert = useAlert(id).data;
  const triage = useMemo(
    (): TriageHandle => ({ selection: only(id), alerts: alert ? [alert] : [], done: () => {} }),
    [id, alert],
  );
  usePublish("triage", triage);
  return (
    <div className="page detail-page">
      <Detail id={id} full />
    </div>
  );
}
