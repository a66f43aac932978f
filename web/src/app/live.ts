/** Spreads the one event stream over the query cache. */
import { useEffect, useSyncExternalStore } from "react";
import { streamAddress } from "../api/client";
import type { Alert, Case, EmergencyStop, EvidenceRequest, Health, Overview, UpdateOrder } from "../api/types";
import { receiveAlerts } from "../features/alerts/api";
import { receiveUpdate } from "../features/configuration/api";
import { receiveStop } from "../features/stop/api";
import { openStream, type StreamState, type Topic } from "../lib/stream";
import { client } from "./client";

type Live = { state: StreamState; fresh: ReadonlyMap<string, Alert> };
/** More than this many unseen alerts are "500+". */
export const FRESH_MAX = 500;

/** Pushed alerts are shown together this often: soon enough to be seen at once, rarely enough for a storm. */
const FLUSH_MS = 200;

let live: Live = { state: "connecting", fresh: new Map() };
const listeners = new Set<() => void>();
const change = (next: Partial<Live>) => {
  live = { ...live, ...next };
  for (const listener of listeners) listener();
};

/** Forgets the unseen alerts, because the list is about to be read anew. */
export const clearFresh = () => {
  if (live.fresh.size > 0) change({ fresh: new Map() });
};

const pending = new Map<string, Alert>();
let flushTimer: ReturnType<typeof setTimeout> | undefined;

function flushAlerts() {
  flushTimer = undefined;
  const known = receiveAlerts(pending);
  const fresh = new Map(live.fresh);
  for (const [id, alert] of pending) {
    if (known.has(id)) continue;
    if (alert.status === "new" && fresh.size < FRESH_MAX) fresh.set(id, alert);
    else fresh.delete(id);
  }
  pending.clear();
  if (fresh.size > 0 || live.fresh.size > 0) change({ fresh });
}

export const useLive = (): Live =>
  useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => live,
  );

function receive(topic: Topic, body: unknown) {
  switch (topic) {
    case "alert":
      pending.set((body as Alert).id, body as Alert);
      flushTimer ??= setTimeout(flushAlerts, FLUSH_MS);
      break;
    case "case":
      void client.invalidateQueries({ queryKey: ["cases", "list"] });
      void client.invalidateQueries({ queryKey: ["cases", "one", (body as Case).id] });
      break;
    case "evidence":
      client.setQueryData<Case>(
        ["cases", "one", (body as EvidenceRequest).case_id],
        (old) =>
          old && {
            ...old,
            evidence: old.evidence.map((each) =>
              each.id === (body as EvidenceRequest).id ? (body as EvidenceRequest) : each,
            ),
          },
      );
      void client.invalidateQueries({ queryKey: ["cases", "one", (body as EvidenceRequest).case_id] });
      break;
    case "update":
      receiveUpdate(body as UpdateOrder);
      break;
    case "overview":
      client.setQueryData<Overview>(["overview"], (old) => old && { ...old, ...(body as Partial<Overview>) });
      break;
    case "health":
      client.setQueryData<Health>(["health"], body as Health);
      break;
    case "stop":
      receiveStop(body as EmergencyStop);
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
  useEffect(() => openStream(streamAddress, { receive, state: (state) => change({ state }) }), []);
}
