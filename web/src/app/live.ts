/** Spreads the one event stream over the query cache. */
import { useEffect, useSyncExternalStore } from "react";
import { streamAddress } from "../api/client";
import type { Alert, Case, EvidenceRequest, Overview } from "../api/types";
import { receiveAlert } from "../features/alerts/api";
import { openStream, type StreamState, type Topic } from "../lib/stream";
import { client } from "./client";

type Live = { state: StreamState; fresh: ReadonlySet<string> };
/** More than this many unseen alerts are "500+". */
export const FRESH_MAX = 500;

let live: Live = { state: "connecting", fresh: new Set() };
const listeners = new Set<() => void>();
const change = (next: Partial<Live>) => {
  live = { ...live, ...next };
  for (const listener of listeners) listener();
};

/** Forgets the unseen alerts, because the list is about to be read anew. */
export const clearFresh = () => change({ fresh: new Set() });

export const useLive = (): Live =>
  useSyncExternalStore((listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, () => live);

function receive(topic: Topic, body: unknown) {
  switch (topic) {
    case "alert": {
      const alert = body as Alert;
      if (!receiveAlert(alert) && alert.status === "new" && live.fresh.size < FRESH_MAX) change({ fresh: new Set(live.fresh).add(alert.id) });
      break;
    }
    case "case":
      void client.invalidateQueries({ queryKey: ["cases", "list"] });
      void client.invalidateQueries({ queryKey: ["cases", "one", (body as Case).id] });
      break;
    case "evidence":
      client.setQueryData<Case>(["cases", "one", (body as EvidenceRequest).case_id], (old) =>
        old && { ...old, evidence: old.evidence.map((each) => (each.id === (body as EvidenceRequest).id ? (body as EvidenceRequest) : each)) },
      );
      void client.invalidateQueries({ queryKey: ["cases", "one", (body as EvidenceRequest).case_id] });
      break;
    case "overview":
      client.setQueryData<Overview>(["overview"], (old) => old && { ...old, ...(body as Partial<Overview>) });
      break;
    case "health":
      void client.invalidateQueries({ queryKey: ["health"] });
      break;
    case "reset":
      // The server no longer holds what was missed: everything on screen is read anew.
      clearFresh();
      void client.invalidateQueries();
      break;
  }
}

/** Keeps the stream open while the shell is on screen. */
export function useStream() {
  useEffect(
    () => openStream(streamAddress, { receive, state: (state) => change({ state }) }),
    [],
  );
}
